"""What every page of ours has: the style, the script, the policy that admits only these two, and a whole file or none."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from cosai_nb import __version__
from cosai_nb.errors import FileError

TEMPLATES = Path(__file__).with_name("templates")


@cache
def asset(name: str) -> str:
    """Return the text of a file of ``templates/``."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["version"] = __version__
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
    script, style = asset("page.js"), asset("page.css")
    values = {"csp": policy(script=script, style=style), "js": _own(script), "css": _own(style)}
    return _environment().get_template(template).render(values | context)


def _own(text: str) -> Any:
    """Mark our own asset as markup; nothing from outside ever comes here."""
    from markupsafe import Markup  # noqa: PLC0415 - only here is text trusted

    return Markup(text)  # noqa: S704 - a file of this package


def write_whole(path: Path, text: str) -> Path:
    """Write a file so that a reader sees the old one or the new one, never half of it.

    Raises
    ------
    FileError
        The folder is not there or cannot be written to.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}-", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(_usual_mode())
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise FileError(
            f"The page cannot be written to {path} ({error.strerror}); name another file."
        ) from error
    return path


def _usual_mode() -> int:
    """Return the mode that ``open`` would have given; ``mkstemp`` gives a private one."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
