"""A matplotlib figure as inline SVG that obeys a strict Content-Security-Policy and both colour schemes.

matplotlib writes ``style="…"`` attributes, which a policy without ``unsafe-inline`` forbids: they become presentation
attributes. Black and white become classes, so that the page's own ink and paper are used in the dark and on paper.
"""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_COORDINATES = frozenset({"d", "points", "x", "y", "transform", "width", "height"})
_DROPPED = frozenset({f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"})
_FONT_SIZE = re.compile(r"([\d.]+)px")
_OWN_URL = re.compile(r"url\(#([^)]+)\)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_POINTS = 72
_INK, _PAPER = frozenset({"#000000", "#262626", "black"}), frozenset({"#ffffff", "white"})


def inline_svg(figure: Figure, *, name: str, title: str) -> Markup:
    """Draw a figure into markup that may stand in a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure; it belongs to no pyplot window.
    name : str
        Unique in the page; prefix of the ids inside.
    title : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    markupsafe.Markup
        ``<svg role="img" …>`` without style attributes, scripts, links or metadata.
    """
    root = ET.fromstring(_drawn(figure))  # noqa: S314 - matplotlib wrote it a line above
    _clean(root, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", title)
    for element in root.iter():
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escaped every text in it


def _drawn(figure: Figure) -> str:
    figure.set_dpi(_POINTS)
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cosai_nb"}):
        vectors = _Renderer(*figure.bbox.size, written, image_dpi=_POINTS, metadata={"Date": None})  # type: ignore[no-untyped-call]  # matplotlib's
        renderer: Any = MixedModeRenderer(figure, *figure.get_size_inches(), _POINTS, vectors)  # type: ignore[no-untyped-call, call-arg]  # matplotlib's
        _Canvas(figure).renderer = renderer
        figure.draw(renderer)
        renderer.finalize()
    return written.getvalue()


class _Canvas(FigureCanvasBase):
    """Where a layout measures texts: with the renderer that draws them, where print_svg draws once more to have one."""

    renderer: Any

    def get_renderer(self) -> Any:
        """Return what matplotlib asks for under this name."""
        return self.renderer


class _Renderer(RendererSVG):
    """matplotlib's, which measures each text once, and writes shapes of one look as one path."""

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Any:
        return _measured(s, prop.copy(), ismath)

    def draw_text(
        self, gc: Any, x: float, y: float, s: str, prop: FontProperties, *place: Any, **more: Any
    ) -> None:
        plain = prop.copy()
        # the page's style names the fonts; to look for each takes longer than to write
        plain.set_family("DejaVu Sans")
        super().draw_text(gc, x, y, s, plain, *place, **more)  # type: ignore[no-untyped-call]  # matplotlib's

    def draw_path_collection(
        self, gc: Any, master_transform: Any, paths: Any, all_transforms: Any, *looks: Any, **more: Any
    ) -> None:
        own = [look for look in (all_transforms, *looks) if isinstance(look, (list, np.ndarray))]
        if len(paths) > 1 and max(map(len, own)) <= 1:
            paths = [Path.make_compound_path(*paths)]
        super().draw_path_collection(gc, master_transform, paths, all_transforms, *looks, **more)  # type: ignore[no-untyped-call]  # matplotlib's


@lru_cache(maxsize=4096)
def _measured(text: str, font: FontProperties, ismath: Any) -> tuple[float, float, float]:
    return text_to_path.get_text_width_height_descent(text, font, ismath)


def _clean(root: ET.Element, name: str) -> None:
    used = {target for element in root.iter() for target in _targets(element)}
    for parent in root.iter():
        for child in [child for child in parent if child.tag in _DROPPED]:
            parent.remove(child)
        _restyle(parent)
        own = parent.get("id")
        if own in used:
            parent.set("id", f"{name}-{own}")
        elif own is not None:
            del parent.attrib["id"]
        _shorten(parent, name)


def _targets(element: ET.Element) -> list[str]:
    urls = [_OWN_URL.findall(text) for text in element.attrib.values() if "url(#" in text]
    return [element.get(_HREF, "")[1:], *(target for found in urls for target in found)]


def _shorten(element: ET.Element, name: str) -> None:
    """Point links to the renamed ids, and keep two decimals of a coordinate: a fiftieth of a pixel."""
    for key, value in element.attrib.items():
        if key == _HREF:
            if value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, _OWN_URL.sub(rf"url(#{name}-\1)", value))
        elif key in _COORDINATES:
            element.set(key, _NUMBER.sub(_two_decimals, value).replace("  ", " ").strip())


def _two_decimals(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _restyle(element: ET.Element) -> None:
    style = element.attrib.pop("style", "")
    drawn = [key for key in ("fill", "stroke") if key in element.attrib]
    declared: list[tuple[str, str]] = [(key, element.attrib.pop(key)) for key in drawn]
    declared += [
        (key.strip(), value.strip()) for key, _, value in (part.partition(":") for part in style.split(";"))
    ]
    classes = []
    # white text is white because something coloured lies behind it
    is_text = element.tag == f"{{{_SVG}}}text"
    for key, value in declared:
        if key in {"fill", "stroke"} and value in _INK | _PAPER and not (is_text and value in _PAPER):
            classes.append(f"{'ink' if value in _INK else 'paper'}-{key}")
        elif key == "font":
            _set_font(element, value)
        elif key and key not in {"stroke-linejoin", "stroke-linecap", "font-family"}:
            element.set(key, value)
    if is_text and "fill" not in dict(declared):
        classes.append("ink-fill")
    if classes:
        element.set("class", " ".join(classes))


def _set_font(element: ET.Element, font: str) -> None:
    size = _FONT_SIZE.search(font)
    if size:
        element.set("font-size", size[1])
        for word in font[: size.start()].split():
            if word in {"bold", "italic"} or word.isdigit():
                element.set("font-style" if word == "italic" else "font-weight", word)
