"""What every page of ours has: the style, the script, the policy that admits only these two, and a whole file or none."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from cosai_nb import __version__, arguments
from cosai_nb.errors import FileError
from cosai_nb.table.files import write_whole
from cosai_nb.views.figure import json_text

if TYPE_CHECKING:
    import os

_UNIT = re.compile(r"(?<=\d) (?=(?:s|min|h|days|points|%)(?!\w))")
ASSETS = Path(__file__).with_name("assets")


@cache
def asset(name: str) -> str:
    """Return the text of a file of ``assets/``, which may lie in a zip."""
    return (files("cosai_nb.views") / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ASSETS),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
    environment.filters["json_text"] = json_text
    environment.filters["units"] = lambda text: _UNIT.sub("\u00a0", text)  # a line never begins with a unit
    return environment


def policy(*, script: str, style: str) -> str:
    """Return a Content-Security-Policy that admits this one script and this one style, and no request at all.

    Examples
    --------
    >>> policy(script="1", style="")
    "default-src 'none'; img-src data:; script-src 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s='; ..."
    """
    return (
        f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def render(template: str, **context: Any) -> str:
    """Return a page; every value in it is escaped unless it is ``Markup``."""
    script, style = (asset(f"overlay.{kind}") + asset(f"page.{kind}") for kind in ("js", "css"))
    values = {"csp": policy(script=script, style=style), "js": Markup(script), "css": Markup(style)}  # noqa: S704 - files of this package
    return _environment().get_template(template).render(values | context)


def write_page(path: str | os.PathLike[str], text: str) -> Path:
    """Write a page so that a reader sees the old one or the new one, never half of it; return where it is.

    Raises
    ------
    FileError
        The folder is not there or cannot be written to.
    """
    path = arguments.path(path)
    try:
        write_whole(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise FileError(
            f"The page cannot be written to {path} ({error.strerror}); name another file."
        ) from error
    return path
