"""A figure as a picture: inline SVG, and a map of what stands where, in words, for the script that lays hover and drag over it.

::

    mark(ax, [Series(…), …], zone=…)        a plot says what of it can be pointed at, in the data's own coordinates
    mark(ax, entries=[Series(…), None, …])  the same for what the entries of its legend name, in their order
    picture(ax, name=…, title=…)            Picture(svg, map): what a page shows, and what assets/overlay.js reads
    json_text(map)                          the map as it may stand in <script type="application/json">
    inline_svg(figure, name=…, title=…)     the SVG alone
    png(figure, dpi=…)                      for notebooks that are read without scripts

The SVG obeys a strict Content-Security-Policy and both colour schemes. matplotlib writes ``style="…"`` attributes, which a policy
without ``unsafe-inline`` forbids: they become presentation attributes. Black and white become classes, so that the page's own
ink and paper are used in the dark and on paper.
"""

from __future__ import annotations

import io
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from weakref import WeakKeyDictionary
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.dates import date2num
from matplotlib.font_manager import findfont, get_font
from matplotlib.path import Path
from matplotlib.spines import Spine
from matplotlib.text import Annotation, Text
from matplotlib.textpath import text_to_path

from cosai_nb import arguments

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
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
_UNSAFE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")
_X_AXIS, _X_TICK = "cosai-x-axis", "xtick"
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_FAST = 1
_HELP = "Arrow keys read the values, Enter picks, Escape clears."
_HELP_TIME = "Shift with arrow keys marks a span, Enter takes it."


MOST_POINTS = 2000
"""Points of a series that a map names; of more, the highest of each of so many equal stretches."""
Pick = tuple[tuple[str, "str | None"], ...]
"""What a click asks for: columns and the label that jobs have there, None for a missing one."""


@dataclass(frozen=True)
class Series:
    """What of a plot can be pointed at, in the data's own coordinates.

    Parameters
    ----------
    name : str
        As in the legend.
    color : str
        Of its line or bars, ``#rrggbb``: what is drawn in this colour stays when the others are dimmed.
    words : sequence of str
        What is said at each point or box; asked only for those that the map keeps. What comes before the first ``": "`` is
        said once where several series have it in common.
    x, y : array of float
        Points of a line; empty where there are boxes.
    boxes : array of float, shape (n, 4), optional
        Bars and cells: left, bottom, right, top.
    pick : Pick, optional
        What a click on the series, or its entry in the legend, asks for.
    picks : sequence of Pick or None, optional
        What a click on each box asks for.
    single : bool
        Its points are events, not a line: each is spoken of only near it.
    """

    name: str
    color: str
    words: Sequence[str]
    x: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    y: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    boxes: npt.NDArray[np.float64] | None = None
    pick: Pick | None = None
    picks: Sequence[Pick | None] | None = None
    single: bool = False


class Picture(NamedTuple):
    """A figure that may stand in a page: markup, and the map of what stands where (empty where nothing does)."""

    svg: Markup
    map: dict[str, Any]


class _Marked(NamedTuple):
    series: Sequence[Series]
    entries: Sequence[Series | None]
    zone: str | None


_MARKED: WeakKeyDictionary[Axes, _Marked] = WeakKeyDictionary()


def mark(
    ax: Axes,
    series: Sequence[Series] = (),
    *,
    entries: Sequence[Series | None] = (),
    zone: str | None = None,
) -> None:
    """Say what of a plot can be pointed at.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The plot.
    series : sequence of Series
        What no entry of the legend names.
    entries : sequence of Series or None
        What each entry of the legend names, in its order.
    zone : str, optional
        The time zone, where the horizontal axis is a clock.
    """
    _MARKED[ax] = _Marked(series, entries, zone)


def picture(ax: Axes, *, name: str, title: str) -> Picture:
    """Draw a plot into a picture.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Of a figure of its own, which belongs to no pyplot window.
    name : str
        Unique in the page; prefix of the ids inside.
    title : str
        What the figure shows, for those who do not see it.

    Returns
    -------
    Picture
        The SVG as of :func:`inline_svg`, with the data of a marked plot in ``<svg class="data">``, and the map
        (viewBox units, downwards):

        ========== ===================================================================================
        size, box  width and height; left, upper, right and lower edge of the axes
        title      as given; ``help`` says what keys do
        time       UTC ms at the left and right edge where the axis is a clock, else None
        zone       its time zone; ``offsets`` are ``[UTC ms, minutes]`` from when on it is so far from UTC
        snap       ms; a span reaches from one multiple to another
        font       size of the names of the ticks
        series     of each ``name, color, pick, legend`` (box of its entry, or None), ``words``, and
                   ``at`` (points) and ``single``, or ``boxes`` and ``picks``
        ========== ===================================================================================
    """
    marked = _MARKED.get(ax) if ax.axison else None
    if marked is None:
        return Picture(inline_svg(cast("Figure", ax.figure), name=name, title=title), {})
    with _named(ax) as data:
        root = _drawn(cast("Figure", ax.figure))
    found = _map(ax, marked, title)
    held = {one: _held_at(artist, ax) for one, artist in data.items()}
    _enclose_data(root, held, found["box"], found["size"][1])
    return Picture(_finished(root, name=name, title=title), found)


def json_text(data: object) -> Markup:
    r"""Return JSON that may stand in a script element: no text in it can end the element.

    Examples
    --------
    >>> print(json_text(["</script>", 1]))
    ["\u003c/script\u003e",1]
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))  # noqa: S704 - no markup is left in it


def png(figure: Figure, *, dpi: int) -> bytes:
    """Return a figure as PNG, laid out and drawn once; ``savefig`` draws every figure that has a layout engine twice."""
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    written = io.BytesIO()
    # fitting letters to pixels takes a third longer, and looks the same
    with mpl.rc_context({"text.hinting": "none"}):
        canvas.print_png(written, pil_kwargs={"compress_level": _FAST})
    return written.getvalue()


def _map(ax: Axes, marked: _Marked, title: str) -> dict[str, Any]:
    """Return where everything stands, in the units of the SVG, downwards from its upper edge."""
    width, height = cast("Figure", ax.figure).bbox.size
    left, bottom, right, top = ax.bbox.extents
    box = [left, height - top, right, height - bottom]
    shown: list[tuple[Series, Any]] = [
        (one, legend)
        for one, legend in zip_longest(marked.entries, _legend_boxes(ax, height))  # there may be no legend
        if one is not None
    ]
    shown += [(one, None) for one in marked.series]
    time = None if marked.zone is None else [_utc_ms(day) for day in ax.get_xlim()]
    return {
        "size": _rounded(np.array([width, height])),
        "box": _rounded(np.array(box)),
        "title": title,
        "help": _HELP if time is None else f"{_HELP} {_HELP_TIME}",
        "time": time,
        "zone": marked.zone,
        "offsets": None if time is None else offsets(cast("str", marked.zone), *time),
        "snap": _HOUR_MS,
        "font": next((tick.label1.get_fontsize() for tick in ax.xaxis.get_major_ticks()), 10),
        "series": [_series(one, ax, np.array(box), legend) for one, legend in shown],
    }


def _series(
    one: Series, ax: Axes, box: npt.NDArray[np.float64], legend: list[float] | None
) -> dict[str, Any]:
    x0, y0, x1, y1 = (one.x, one.y, one.x, one.y) if one.boxes is None else one.boxes.T
    low, high = np.sort(ax.get_xlim())
    seen = (np.maximum(x0, x1) >= low) & (np.minimum(x0, x1) <= high)
    for side in (x0, y0, x1, y1):
        seen &= np.isfinite(side)
    kept = _thinned(np.flatnonzero(seen), np.maximum(y0, y1))
    sides = np.column_stack([x0[kept], y0[kept], x1[kept], y1[kept]])
    corners = ax.transData.transform(sides.reshape(-1, 2))
    corners[:, 1] = cast("Figure", ax.figure).bbox.height - corners[:, 1]
    corners = np.clip(corners, box[:2], box[2:]).reshape(-1, 2, 2)
    where: dict[str, Any] = {"at": _rounded(corners[:, 0]), "single": one.single}
    if one.boxes is not None:
        picks = [None if one.picks is None else one.picks[place] for place in kept]
        where = {"boxes": _rounded(np.sort(corners, axis=1).reshape(-1, 4)), "picks": picks}
    color = "currentColor" if one.color.lower() in _INK else one.color.lower()
    words = [one.words[place] for place in kept]
    return {
        "name": one.name,
        "color": color,
        "pick": one.pick,
        "legend": legend,
        "words": words,
        **where,
    }


def _thinned(places: npt.NDArray[np.intp], height: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    if len(places) <= MOST_POINTS:
        return places
    stretches = np.array_split(places, MOST_POINTS)
    return np.array([stretch[height[stretch].argmax()] for stretch in stretches])


def _rounded(numbers: npt.NDArray[np.float64]) -> Any:
    return numbers.round(1).tolist()


def _legend_boxes(ax: Axes, height: float) -> list[list[float]]:
    """Return the box of each entry of the legend: its text, and the handle that stands before it."""
    legend = ax.get_legend()
    if legend is None:
        return []
    before = legend.handlelength + legend.handletextpad
    boxes = []
    for text in legend.get_texts():
        box = text.get_window_extent()
        left = box.x0 - before * float(text.get_fontsize())
        boxes.append(_rounded(np.array([left, height - box.y1, box.x1, height - box.y0])))
    return boxes


def _utc_ms(day: float) -> int:
    """Return what matplotlib counts in days from an epoch that a user may set."""
    return round((day - float(date2num(np.datetime64(0, "ms")))) * _DAY_MS)  # type: ignore[no-untyped-call]  # matplotlib's


def offsets(zone: str, first: int, last: int) -> list[list[int]]:
    """Return from when on a zone is how many minutes from UTC; browsers know other zones than this machine."""
    hours = np.arange(first - first % _HOUR_MS, last + 1, _HOUR_MS)
    there = pd.DatetimeIndex(hours.astype("datetime64[ms]"), tz="UTC").tz_convert(arguments.zone(zone))
    local = there.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    minutes = (local - hours) // 60_000
    changes = np.flatnonzero(np.append(True, np.diff(minutes) != 0))
    return [[int(hours[place]), int(minutes[place])] for place in changes]


@contextmanager
def _named(ax: Axes) -> Iterator[dict[str, Artist]]:
    """Give ids to the horizontal axis and to what follows it, for one drawing; return the latter by its id."""
    data = {
        f"cosai-data-{number}": artist
        for number, artist in enumerate(ax.get_children())
        if artist is not ax.patch and not isinstance(artist, Spine) and _follows(artist, ax)
    }
    named = {**data, _X_AXIS: ax.xaxis, f"{_X_TICK}-date": ax.xaxis.get_offset_text()}
    before = [(artist, artist.get_gid()) for artist in named.values()]
    try:
        for name, artist in named.items():
            artist.set_gid(name)
        yield data
    finally:
        for artist, own in before:
            artist.set_gid(own)


def _follows(artist: Artist, ax: Axes) -> bool:
    """Return whether the horizontal place of an artist is one of the data."""
    if isinstance(artist, Annotation):
        across = artist.xycoords[0] if isinstance(artist.xycoords, tuple) else artist.xycoords
        return across == "data"
    moves = artist.get_transform()
    # matplotlib asks this of planes only; its name before matplotlib 3.11
    return moves.output_dims == 2 and moves.contains_branch_seperately(ax.transData)[0]  # noqa: PLR2004 - a plane


def _held_at(artist: Artist, ax: Axes) -> float | None:
    """Return where a text is held by the data; its letters may stand beside that place."""
    if not isinstance(artist, Text):
        return None
    place = artist.xy[0] if isinstance(artist, Annotation) else artist.get_unitless_position()[0]
    return float(ax.transData.transform((ax.convert_xunits(place), 0))[0])  # type: ignore[no-untyped-call]  # matplotlib's


def _enclose_data(
    root: ET.Element, held: dict[str, float | None], box: Sequence[float], height: float
) -> None:
    """Put the data into windows that can be zoomed along the horizontal axis: each as far below or above the rest as it was."""
    left, width = f"{box[0]:g}", f"{box[2] - box[0]:g}"
    window = {"class": "data", "x": left, "y": "0", "width": width, "height": f"{height:g}",
              "viewBox": f"{left} 0 {width} {height:g}", "preserveAspectRatio": "none", "overflow": "visible"}  # fmt: skip
    for parent in list(root.iter()):
        for child in parent if parent.get("id") == _X_AXIS else ():
            if child.get("id", "").startswith(_X_TICK):
                child.set("class", "tick")
        children: list[ET.Element] = []
        for child in parent:
            name = child.get("id", "")
            if name not in held:
                children.append(child)
                continue
            if not children or children[-1].get("class") != "data":
                children.append(ET.Element(f"{{{_SVG}}}svg", window))
            children[-1].append(child)
            if (place := held[name]) is not None:
                child.set("data-x", f"{place:.2f}")
        parent[:] = children


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
    return _finished(_drawn(figure), name=name, title=title)


def _finished(root: ET.Element, *, name: str, title: str) -> Markup:
    _clean(root, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("class", "cosai-picture")
    root.set("role", "img")
    root.set("aria-label", title)
    for element in root.iter():
        if not (element.text or "").strip():
            element.text = None
        element.tail = None
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - ElementTree escaped every text in it


def _drawn(figure: Figure) -> ET.Element:
    figure.set_dpi(_POINTS)
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cosai_nb"}):
        vectors = _Renderer(*figure.bbox.size, written, image_dpi=_POINTS, metadata={"Date": None})  # type: ignore[no-untyped-call]  # matplotlib's
        renderer: Any = MixedModeRenderer(figure, *figure.get_size_inches(), _POINTS, vectors)  # type: ignore[no-untyped-call, call-arg]  # matplotlib's
        _Canvas(figure).renderer = renderer
        figure.draw(renderer)
        renderer.finalize()
    return ET.fromstring(written.getvalue())  # noqa: S314 - matplotlib has written it


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

    def _get_font_height_metrics(self, prop: FontProperties) -> Any:
        # what matplotlib 3.11 looks up in the font's file for each text, unless a renderer knows it
        return _line_height(prop.copy())

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


@lru_cache(maxsize=64)
def _line_height(font: FontProperties) -> tuple[float | None, float | None, float | None]:
    """Return ascent, descent and gap of the lines of a font [points]; None where the file does not say."""
    file: Any = get_font(findfont(font))
    table, size = file.get_sfnt_table("OS/2"), font.get_size_in_points() / file.units_per_EM
    if table is None:
        return None, None, None
    return table["sTypoAscender"] * size, -table["sTypoDescender"] * size, table["sTypoLineGap"] * size


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
    if is_text and element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
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
