"""The map of a picture: hand-checked places, what is left out, what a legend names, what a zoom moves; nothing in it is markup."""

import itertools
import json
import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from cosai_nb.views.figure import MOST_POINTS, Series, json_text, mark, picture

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "a\u2028b\u2029c",
    "\ud800 alone",
    "&lt;b&gt; ]]>",
    "長い名前" * 40,
]


def sheet():
    """Return Axes of 144 × 108 in a picture of 288 × 216: their left edge at 72, the upper at 54."""
    return Figure(figsize=(4, 3)).add_axes((0.25, 0.25, 0.5, 0.5))


def mapped(ax, *series, zone=None):
    mark(ax, series, zone=zone)
    return picture(ax, name="one", title="a picture").map


def points(x, y, **more):
    words = more.pop("words", [f"point {number}" for number in range(len(x))])
    return Series(
        "a", "#0072B2", words, np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), **more
    )


def test_places_on_linear_axes():
    ax = sheet()
    ax.set(xlim=(0, 10), ylim=(0, 100))
    bars = Series("b", "#D55E00", ["bar"], boxes=np.array([[0.0, 0.0, 5.0, 100.0]]))
    found = mapped(ax, points([0, 5, 10], [0, 25, 100]), bars)
    assert found["size"] == [288, 216]
    assert found["box"] == [72, 54, 216, 162]
    assert found["time"] is None
    line, bar = found["series"]
    assert line["at"] == [[72, 162], [144, 135], [216, 54]]
    assert line["words"] == ["point 0", "point 1", "point 2"]
    assert bar["boxes"] == [[72, 54, 144, 162]]
    assert bar["picks"] == [None]


def test_places_on_a_symlog_axis():
    ax = sheet()
    ax.set_xscale("symlog", linthresh=1, linscale=1)
    ax.set(xlim=(0, 100), ylim=(0, 1))
    # up to 1 it takes 10 parts of 28, each power of ten above 9
    (line,) = mapped(ax, points([0, 1, 10, 100], [0, 0, 0, 0]))["series"]
    assert [x for x, _ in line["at"]] == pytest.approx(
        [72, 72 + 1440 / 28, 72 + 144 * 19 / 28, 216], abs=0.05
    )


def test_places_on_an_axis_that_points_down():
    ax = sheet()
    ax.set(xlim=(0, 24), ylim=(6, 0))
    cell = Series("cells", "#777777", ["cell"], boxes=np.array([[12.0, 2.0, 18.0, 1.0]]))
    (cells,) = mapped(ax, cell)["series"]
    assert cells["boxes"] == [[144, 72, 180, 90]]


def test_what_is_not_seen_is_left_out_and_what_is_too_high_stands_at_the_edge():
    ax = sheet()
    ax.set(xlim=(0, 10), ylim=(0, 10))
    boxes = np.array([[-5.0, 0.0, 5.0, 5.0], [11.0, 0.0, 12.0, 5.0], [1.0, 0.0, np.nan, 5.0]])
    picks = [(("code", "a"),), (("code", "b"),), (("code", "c"),)]
    bars = Series("b", "#D55E00", ["cut", "outside", "unknown"], boxes=boxes, picks=picks)
    line, bar = mapped(ax, points([-1, 0, 5, np.nan, 7], [5, 5, 20, 5, np.inf]), bars)["series"]
    assert line["words"] == ["point 1", "point 2"]
    assert line["at"] == [[72, 108], [144, 54]]
    assert bar["words"] == ["cut"]
    assert bar["boxes"] == [[72, 108, 144, 162]]
    assert bar["picks"] == [(("code", "a"),)]


def test_time_at_the_edges_and_what_the_zone_is_away_from_utc():
    ax = sheet()
    begin, end = np.datetime64("2026-10-24T22:00", "ms"), np.datetime64("2026-10-25T04:00", "ms")
    ax.set_xlim(date2num(begin), date2num(end))
    found = mapped(ax, points([], []), zone="Europe/Berlin")
    assert found["time"] == [int(begin.astype(int)), int(end.astype(int))]
    winter = int(np.datetime64("2026-10-25T01:00", "ms").astype(int))
    assert found["offsets"] == [[int(begin.astype(int)), 120], [winter, 60]]
    assert (found["zone"], found["snap"]) == ("Europe/Berlin", 3_600_000)


@pytest.mark.parametrize(("zone", "minutes"), [("Asia/Shanghai", 480), ("UTC-03:30", -210), ("UTC", 0)])
def test_a_zone_without_summer_time_has_one_offset(zone, minutes):
    ax = sheet()
    ax.set_xlim(date2num(np.datetime64("2024-01-01")), date2num(np.datetime64("2026-01-01")))
    assert [offset for _, offset in mapped(ax, points([], []), zone=zone)["offsets"]] == [minutes]


class Words(Sequence):
    """Words that are made when they are asked for, and counted."""

    def __init__(self, length):
        self.length, self.asked = length, 0

    def __len__(self):
        return self.length

    def __getitem__(self, place):
        self.asked += 1
        return f"point {place}"


def test_a_million_points_are_thinned_evenly_and_the_highest_stay():
    number = 1_000_000
    x, y = np.linspace(0, 10, number), np.zeros(number)
    y[[7, 123_456, 999_990]] = 5, 9, 3
    ax, words = sheet(), Words(number)
    ax.set(xlim=(0, 10), ylim=(0, 10))
    (line,) = mapped(ax, points(x, y, words=words))["series"]
    assert len(line["words"]) == len(line["at"]) == words.asked == MOST_POINTS
    assert {"point 7", "point 123456", "point 999990"} <= set(line["words"])
    places = [x for x, _ in line["at"]]
    assert places == sorted(places)
    assert max(b - a for a, b in itertools.pairwise(places)) <= 0.3  # 144 units, 2,000 points


def text_places(svg):
    """Return where each text of a picture begins or ends."""
    return {
        element.text: (float(element.get("x")), float(element.get("y")))
        for element in ET.fromstring(svg).iter()
        if element.tag.endswith("}text")
    }


def test_series_have_the_boxes_of_their_entries_in_the_legend():
    ax = Figure(figsize=(6, 4)).subplots()
    ax.plot([0, 1], [0, 3], color="#0072b2", label="cut …")
    ax.plot([0, 1], [0, 2], color="#009e73", label="p50 12 s, 3 jobs")
    ax.plot([0, 1], [0, 4], color="#0072b2", label="a line that says nothing")
    ax.plot([0, 1], [0, 1], color="#d55e00", label="p95")
    ax.legend()
    a, b, c, other = (
        Series(name, "#0072B2", ["x"], np.zeros(1), np.zeros(1))
        for name in ("a long name", "p50", "p95", "-")
    )
    mark(ax, [other], entries=[a, b, None, c])
    svg, found = picture(ax, name="one", title="a picture")
    places = text_places(svg)
    boxes = [one["legend"] for one in found["series"]]
    for box, text in zip(boxes, ["cut …", "p50 12 s, 3 jobs", "p95"], strict=False):
        x, y = places[text]
        assert box[0] < x - 20 < x < box[2]  # the handle lies before the text
        assert box[1] < y <= box[3]
    assert [one["name"] for one in found["series"]] == ["a long name", "p50", "p95", "-"]
    assert boxes[3] is None
    ax.get_legend().remove()
    _, bare = picture(ax, name="one", title="a picture")
    assert [(one["name"], one["legend"]) for one in bare["series"]] == [
        (one["name"], None) for one in found["series"]
    ]


def zoomable():
    ax = Figure(figsize=(4, 3)).add_axes((0.25, 0.25, 0.5, 0.5))
    ax.set(xlim=(20_000, 20_002), ylim=(0, 2))
    ax.bar([20_000.5], [1], width=0.5, color="#7f7f7f", zorder=0.5)
    ax.plot([20_000, 20_001, 20_002], [1, 2, 1], marker="o", color="#0072B2", label="a")
    ax.axvline(20_001, color="#009e73")
    ax.axhline(1, color="#cc79a7")
    ax.annotate(
        "deploy", (20_001, 1), xycoords=("data", "axes fraction"), xytext=(9, -2), textcoords="offset points"
    )
    ax.text(0.5, 0.5, "in the middle", transform=ax.transAxes)
    ax.legend()
    mark(ax, [points([20_000, 20_001, 20_002], [1, 2, 1])], zone="Asia/Shanghai")
    return ax


def test_what_the_axis_moves_is_in_windows_and_all_else_is_not():
    root = ET.fromstring(picture(zoomable(), name="one", title="a picture").svg)
    windows = [element for element in root.iter() if element.get("class") == "data"]
    assert (
        len(windows) == 3
    )  # the bars lie below the ticks, and axhline, which stays, between the lines and the text
    for window in windows:
        assert window.get("viewBox") == "72 0 144 216"
        assert [window.get(side) for side in ("x", "y", "width", "height")] == ["72", "0", "144", "216"]
        assert window.get("preserveAspectRatio") == "none"
    inside = [element for window in windows for element in window.iter()]
    colors = {element.get(key) for element in inside for key in ("fill", "stroke")}
    assert {"#7f7f7f", "#0072b2", "#009e73"} <= colors
    assert "#cc79a7" not in colors
    texts = {element.text for element in inside if element.tag.endswith("}text")}
    assert texts == {"deploy"}
    held = {element.get("data-x") for element in inside} - {None}
    assert held == {"144.00"}  # where it is held, not where its letters begin
    marks = [element.get("x") for element in inside if element.tag.endswith("}use")]
    assert marks == ["72", "144", "216"]


def test_ticks_of_the_horizontal_axis_are_named_and_those_of_the_other_are_not():
    ax = zoomable()
    ax.set_xticks([20_000, 20_001], labels=["first", "second"])
    root = ET.fromstring(picture(ax, name="one", title="a picture").svg)
    ticks = [element for element in root.iter() if element.get("class") == "tick"]
    texts = [text.text for tick in ticks for text in tick.iter() if text.tag.endswith("}text")]
    assert texts == ["first", "second"]


def test_drawing_leaves_the_figure_as_it_was():
    ax = zoomable()
    before = [(artist, artist.get_gid()) for artist in ax.get_children()]
    assert picture(ax, name="one", title="t") == picture(ax, name="one", title="t")
    assert [(artist, artist.get_gid()) for artist in ax.get_children()] == before


def test_a_plot_without_marks_or_with_nothing_to_draw_has_an_empty_map():
    ax = sheet()
    plain = picture(ax, name="one", title="a picture")
    assert plain.map == {}
    assert 'class="data"' not in plain.svg
    mark(ax, [points([1], [1])])
    ax.set_axis_off()
    assert picture(ax, name="one", title="a picture").map == {}


def test_ink_is_the_ink_of_the_page():
    (line,) = mapped(sheet(), Series("a", "#000000", [], np.empty(0), np.empty(0)))["series"]
    assert line["color"] == "currentColor"
    assert line["at"] == []


@pytest.mark.filterwarnings("ignore:Glyph")  # a font without CJK
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_the_map_and_in_the_picture(text):
    ax = sheet()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    shown = text.encode("utf-8", "replace").decode()  # no font has half a character
    ax.text(0.5, 0.5, shown.replace("\u2028", " ").replace("\u2029", " "))
    pick = ((text, text), (text, None))
    mark(ax, [Series(text, "#0072B2", [text], np.array([0.5]), np.array([0.5]), pick=pick)], zone="UTC")
    svg, found = picture(ax, name="one", title=shown)
    written = json_text(found)
    assert not re.search(r"[<>&\u2028\u2029]", written)
    written.encode("utf-8")
    back = json.loads(written)
    assert back["series"][0]["name"] == text
    assert back["series"][0]["words"] == [text]
    assert back["series"][0]["pick"] == [[text, text], [text, None]]
    root = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "img", "style", "b", "a", "foreignObject"}
    assert not any(
        key.startswith("on") or key == "style" for element in root.iter() for key in element.attrib
    )


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="Out of range"):
        json_text({"x": float("nan")})
