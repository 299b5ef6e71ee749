"""The overlay in a real browser, on pictures as pages hold them: mouse, keyboard and finger; nothing runs that is text."""

import base64
import hashlib
import io
import itertools
import json
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from PIL import Image

import cosai_nb.views
from cosai_nb.views.figure import Picture, Series, inline_svg, json_text, mark, picture

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]
ASSETS = Path(cosai_nb.views.__file__).with_name("assets")
HOUR_MS = 3_600_000
START = np.datetime64("2026-11-02T00:00", "ms")
START_MS = int(START.astype(np.int64))
HOSTILE = '"><img src=http://127.0.0.1:9/x onerror=alert(1)><script>alert(2)</script></script><!--\u2028'
BEGIN = """
window.seen = [];
window.figures = [...document.querySelectorAll(".drawing")].map((host) => {
  for (const name of ["span", "pick", "clear"]) {
    host.addEventListener(`cosai:${name}`, (event) => {
      window.seen.push([name, event.detail]);
      if (window.handled) event.preventDefault();
    });
  }
  const map = JSON.parse(document.getElementById(host.dataset.map).textContent);
  return cosaiOverlay(host, map, { span: null, picked: [] });
});
"""


def over_time(name="time", *, hours=48, names=("p50", "p95"), more="", plain=False):
    """Draw two lines with a point an hour, one marker, and axes that begin and end with an hour; ``plain``: the SVG alone."""
    ax = Figure(figsize=(6, 3.5), layout="constrained").subplots()
    days = date2num(START + np.arange(hours) * np.timedelta64(1, "h")) + 0.5 / 24
    series = []
    for number, (label, color) in enumerate(zip(names, ("#0072B2", "#D55E00"), strict=True)):
        level = 20 + 40 * number + 10 * np.sin(np.arange(hours) / 4)
        ax.plot(days, level, color=color, marker="o", markersize=4, label=label, clip_on=number == 0)
        words = [f"hour {hour}{more}: {label} {value:.0f} s" for hour, value in enumerate(level)]
        series.append(Series(label, color, words, days, level, pick=(("tag", label),)))
    ax.axvline(days[30], color="k", linewidth=0.8)
    ax.annotate(f"deploy{more}", (days[30], 1), xycoords=("data", "axes fraction"), va="top")
    ax.set(xlim=(days[0] - 0.5 / 24, days[-1] + 0.5 / 24), ylim=(0, 100))
    top = np.array([100.0])
    series.append(Series("markers", "#000000", [f"noon: deploy{more}"], days[30:31], top, single=True))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2)
    mark(ax, series[2:], entries=series[:2], zone="Asia/Shanghai")
    if plain:
        return Picture(inline_svg(ax.figure, name=name, title=f"Over time{more}"), {})
    return picture(ax, name=name, title=f"Over time{more}")


def bars(name="bars"):
    ax = Figure(figsize=(6, 3), layout="constrained").subplots()
    share = np.array([0.5, 0.3, 0.004])
    ax.barh(np.arange(3), share, color="#D55E00", height=0.8)
    ax.set(xlim=(0, 1), ylim=(2.6, -0.6))
    boxes = np.column_stack([np.zeros(3), np.arange(3) + 0.4, share, np.arange(3) - 0.4])
    codes = ["A", "B", "C"]
    words = [f"code {code}: {value:.1%}" for code, value in zip(codes, share, strict=True)]
    picks = [(("code", code),) for code in codes]
    mark(ax, [Series("errors", "#D55E00", words, boxes=boxes, picks=picks)])
    return picture(ax, name=name, title="Errors")


def cells(name="cells"):
    ax = Figure(figsize=(6, 3), layout="constrained").subplots()
    ax.pcolormesh(np.arange(28).reshape(7, 4))
    ax.set_ylim(7, 0)
    boxes = [(hour, day + 1, hour + 1, day) for day in range(7) for hour in range(4)]
    words = [f"day {day}, hour {hour}: {4 * day + hour} jobs" for day in range(7) for hour in range(4)]
    picks = [(("weekday", str(day)), ("hour", str(hour))) for day in range(7) for hour in range(4)]
    mark(ax, [Series("hours", "#777777", words, boxes=np.array(boxes, dtype=np.float64), picks=picks)])
    return picture(ax, name=name, title="Hours of the week")


def _hash(text):
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def page_of(pictures, *, style="", kind="", after=""):
    script = (ASSETS / "overlay.js").read_text(encoding="utf-8") + BEGIN + after
    css = (ASSETS / "overlay.css").read_text(encoding="utf-8") + ":root { color-scheme: light dark; }" + style
    body = "".join(
        f'<figure><div class="drawing" data-map="map-{number}">{one.svg}</div>'
        f'<script type="application/json" id="map-{number}">{json_text(one.map)}</script></figure>'
        for number, one in enumerate(pictures)
    )
    policy = f"default-src 'none'; img-src data:; script-src '{_hash(script)}'; style-src '{_hash(css)}'"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Pictures</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; base-uri \'none\'">'
        f'<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><style>{css}</style></head>'
        f"<body><main><h1>Pictures</h1>{body}</main><script{kind}>{script}</script></body></html>"
    )


class Shown:
    """A page with pictures, and where in it the places of a map are."""

    def __init__(self, browser, folder, pictures, *, settings=None, **made):
        self.path = folder / "page.html"
        self.path.write_text(page_of(pictures, **made), encoding="utf-8")
        self.page = browser.new_page(**{"viewport": {"width": 900, "height": 1500}, **(settings or {})})
        self.maps = [one.map for one in pictures]
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append("dialog"), dialog.dismiss()))
        self.page.goto(self.path.as_uri())

    def host(self, number=0):
        return self.page.locator(".drawing").nth(number)

    def at(self, place, number=0):
        """Return where a place of the map is in the window."""
        box = self.host(number).locator("svg.cosai-picture").bounding_box()
        scale = box["width"] / self.maps[number]["size"][0]
        return box["x"] + place[0] * scale, box["y"] + place[1] * scale

    def point(self, series, index, number=0):
        one = self.maps[number]["series"][series]
        if "at" in one:
            return self.at(one["at"][index], number)
        x0, y0, x1, y1 = one["boxes"][index]
        return self.at(((x0 + x1) / 2, (y0 + y1) / 2), number)

    def hour(self, hours, number=0):
        """Return where so many hours after the first are, half-way up."""
        (x0, y0, x1, y1), (begin, end) = self.maps[number]["box"], self.maps[number]["time"]
        share = (START_MS + hours * HOUR_MS - begin) / (end - begin)
        return self.at((x0 + share * (x1 - x0), (y0 + y1) / 2), number)

    def drag(self, begin, end):
        self.page.mouse.move(*begin)
        self.page.mouse.down()
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def tip(self, number=0):
        tip = self.host(number).locator(".cosai-tip")
        return tip.inner_text().split("\n") if tip.is_visible() else None

    def status(self, number=0):
        return self.host(number).locator("[role=status]").text_content()

    def seen(self, name):
        return [detail for kind, detail in self.page.evaluate("window.seen") if kind == name]

    def view(self, number=0):
        return self.host(number).locator("svg.data").first.get_attribute("viewBox")


@pytest.fixture
def shown(browser, tmp_path, request):
    pictures = [over_time("one"), bars(), cells(), over_time("two")]
    one = Shown(browser, tmp_path, pictures, **getattr(request, "param", {}))
    yield one
    assert one.complaints == []
    assert [url for url in one.requests if not url.startswith("data:")] == [one.path.as_uri()]
    one.page.close()


TRANSFORMED = {
    "style": "main { transform: scale(.6) rotate(0deg) translate(40px, 30px); } .drawing { width: 37rem; }"
}


@pytest.mark.parametrize("shown", [{}, TRANSFORMED], indirect=True, ids=["plain", "transformed"])
def test_hover_says_the_words_of_the_nearest_points(shown):
    for series, index in ((0, 0), (1, 17), (0, 47)):
        x, y = shown.point(series, index)
        shown.page.mouse.move(x + 1, y + 1)
        words = [one["words"][index] for one in shown.maps[0]["series"][:2]]
        head = words[0].split(": ")[0]
        rows = [text.removeprefix(f"{head}: ") for text in words]
        assert shown.tip() == [head, *rows]
        assert shown.status() == "; ".join([head, *rows])
        assert shown.host().locator(".cosai-dot").count() == 2
        box = shown.host().locator(".cosai-tip").bounding_box()
        beside = (
            max(box["x"] - x, x - box["x"] - box["width"]),
            max(box["y"] - y, y - box["y"] - box["height"]),
        )
        assert all(0 < gap < 20 for gap in beside)
    shown.page.mouse.move(2, 2)
    assert shown.tip() is None
    assert shown.status() == ""
    assert shown.host().locator(".cosai-dot").count() == 0


def test_a_marker_is_spoken_of_near_it_only(shown):
    x, y = shown.point(2, 0)
    shown.page.mouse.move(x, y + 40)
    assert "deploy" in shown.status()
    shown.page.mouse.move(x + 60, y + 40)
    assert "deploy" not in shown.status()


def test_hover_says_the_box_that_holds_the_pointer_and_of_bars_the_row(shown):
    shown.page.mouse.move(*shown.point(0, 13, 2))
    assert shown.status(2) == "day 3, hour 1; 13 jobs"
    box, (left, _, right, _) = shown.maps[1]["series"][0]["boxes"][2], shown.maps[1]["box"]
    assert box[2] - box[0] < 3  # too small to be hit
    shown.page.mouse.move(*shown.at(((left + right) / 2, (box[1] + box[3]) / 2), 1))
    assert shown.status(1) == "code C; 0.4%"


def test_a_drag_marks_a_span_and_zooms_every_figure_over_time(shown):
    before = shown.view()
    begin, end = shown.hour(10.3), shown.hour(19.6)
    shown.page.mouse.move(*begin)
    shown.page.mouse.down()
    shown.page.mouse.move(*end, steps=4)
    assert shown.tip() == ["Nov-02 18:00 – Nov-03 04:00"]
    shown.page.mouse.up()
    assert shown.seen("span") == [{"start": START_MS + 10 * HOUR_MS, "end": START_MS + 20 * HOUR_MS}]
    assert shown.view() == shown.view(3) != before
    left, width = (float(part) for part in shown.view().split(" ")[::2])
    x0, _, x1, _ = shown.maps[0]["box"]
    assert [left, width] == pytest.approx([x0 + (x1 - x0) * 10 / 48, (x1 - x0) * 10 / 48], abs=0.2)
    ticks = shown.host().locator(".cosai-ticks text")
    names = ticks.all_text_contents()
    assert names[0] == "Nov-02 18:00"
    assert {"22:00", "Nov-03"} <= set(names)
    boxes = [tick.bounding_box() for tick in ticks.all()]
    assert all(one["x"] + one["width"] < other["x"] for one, other in itertools.pairwise(boxes))
    assert not shown.host().locator(".tick").first.is_visible()
    assert shown.view(1) == shown.view(1)
    shown.page.mouse.move(*shown.at(((x0 + x1) / 2, 100)))  # the middle is now 15 hours after the first
    assert shown.status().startswith(("hour 14;", "hour 15;"))
    shown.host(3).get_by_role("button", name="Reset zoom").click()
    assert shown.view() == shown.view(3) == before
    assert shown.host().locator(".tick").first.is_visible()
    assert shown.host().locator(".cosai-ticks text").count() == 0
    assert shown.host().get_by_role("button").count() == 0


@pytest.mark.parametrize("undo", ["Escape", "double click"])
def test_a_zoom_is_undone(shown, undo):
    before = shown.view()
    shown.drag(shown.hour(10), shown.hour(20))
    assert shown.view() != before
    if undo == "Escape":
        shown.page.keyboard.press("Escape")
    else:
        shown.page.mouse.dblclick(*shown.hour(5))
    assert shown.view() == before
    assert shown.seen("clear") == [{}]


def test_marks_and_texts_keep_their_shape_and_stay_on_their_place(shown):
    def sizes():
        marks = "svg.data use"
        shape = "all => all.map(one => one.getBoundingClientRect()).map(box => [box.x + box.width / 2, box.width])"
        return (
            shown.host().locator(marks).evaluate_all(shape),
            shown.host().locator("svg.data text").evaluate("one => one.getBoundingClientRect().width"),
        )

    marks, text = sizes()
    shown.drag(shown.hour(24.4), shown.hour(35.6))
    zoomed, wide = sizes()
    assert wide == pytest.approx(text, rel=0.02)
    assert [width for _, width in zoomed] == pytest.approx([width for _, width in marks], rel=0.05)
    x, _ = shown.at((shown.maps[0]["box"][0], 0))
    # the 31st point is half an hour behind the 30th hour, which is now in the middle
    end, _ = shown.at((shown.maps[0]["box"][2], 0))
    assert zoomed[30][0] == pytest.approx(x + (end - x) * 6.5 / 12, abs=1)


def test_who_acts_on_an_event_keeps_the_figure_as_it_is(shown):
    shown.page.evaluate("window.handled = true")
    before = shown.view()
    shown.drag(shown.hour(10), shown.hour(20))
    shown.page.mouse.click(*shown.point(0, 5))
    assert len(shown.seen("span")) == len(shown.seen("pick")) == 1
    assert shown.view() == before
    assert shown.page.locator(".cosai-dimmed").count() == 0


def test_a_selection_is_drawn(shown):
    span = [START_MS + 12 * HOUR_MS, START_MS + 24 * HOUR_MS]
    shown.page.evaluate("span => figures[0].show({ span })", span)
    shade = shown.host().locator(".cosai-shade")
    assert shade.is_visible()
    x0, _, x1, _ = shown.maps[0]["box"]
    assert float(shade.get_attribute("width")) == pytest.approx((x1 - x0) / 4, abs=0.2)
    shown.page.evaluate("figures[2].show({ picked: [['hour', '1'], ['weekday', '3'], ['tag', 'x']] })")
    assert shown.host(2).locator(".cosai-picked").count() == 1
    shown.page.evaluate("figures[0].show({ span: null }), figures[2].show({ picked: [] })")
    assert not shade.is_visible()
    assert shown.host(2).locator(".cosai-picked").count() == 0


@pytest.mark.parametrize("where", ["line", "legend"])
def test_a_click_on_a_series_or_its_entry_highlights_and_a_second_undoes(shown, where):
    x0, y0, x1, y1 = shown.maps[0]["series"][1]["legend"]
    place = shown.point(1, 20) if where == "line" else shown.at(((x0 + x1) / 2, (y0 + y1) / 2))
    shown.page.mouse.click(*place)
    assert shown.seen("pick") == [{"pick": [["tag", "p95"]], "name": "p95", "series": 1, "index": None}]

    def opacity(color):
        line = shown.host().locator(f"svg.data path[stroke='{color}']").first
        shown.page.wait_for_timeout(250)
        return float(line.evaluate("one => getComputedStyle(one).opacity"))

    assert (opacity("#0072b2"), opacity("#d55e00")) == (0.2, 1)
    shown.page.mouse.click(*place)
    assert (opacity("#0072b2"), opacity("#d55e00")) == (1, 1)
    assert len(shown.seen("pick")) == 2


def test_a_click_on_a_bar_or_cell_asks_for_it(shown):
    shown.page.mouse.click(*shown.point(0, 1, 1))
    shown.page.mouse.click(*shown.point(0, 13, 2))
    bar, cell = shown.seen("pick")
    assert (bar["pick"], bar["index"]) == ([["code", "B"]], 1)
    assert (cell["pick"], cell["index"]) == ([["weekday", "3"], ["hour", "1"]], 13)
    assert shown.host(2).locator(".cosai-picked").count() == 1
    shown.page.mouse.click(*shown.point(0, 13, 2))
    assert shown.host(2).locator(".cosai-picked").count() == 0


def test_a_click_on_nothing_asks_for_nothing(shown):
    shown.page.mouse.click(*shown.at((shown.maps[0]["box"][0] + 100, shown.maps[0]["box"][1] + 8)))
    assert shown.page.evaluate("window.seen") == []


def test_the_keyboard_reads_points_and_series_and_picks(shown):
    press, words = shown.page.keyboard.press, [one["words"] for one in shown.maps[0]["series"]]
    shown.page.keyboard.press("Tab")
    assert shown.page.evaluate("document.activeElement.className").startswith("drawing")
    assert "Arrow keys" in shown.page.evaluate("document.activeElement.getAttribute('aria-label')")
    press("ArrowRight")
    assert shown.status() == words[0][0].replace(": ", "; ")
    for _ in range(3):
        press("ArrowRight")
    press("ArrowDown")
    assert shown.status() == words[1][3].replace(": ", "; ")
    press("ArrowLeft")
    assert shown.status() == words[1][2].replace(": ", "; ")
    press("Enter")
    assert shown.seen("pick")[0]["name"] == "p95"
    assert shown.page.locator(".cosai-dimmed").count() == 1
    press("Escape")
    assert shown.page.locator(".cosai-dimmed").count() == 0
    press("Tab")
    press("Tab")
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        press(key)
    assert shown.status(2) == "day 1, hour 1; 5 jobs"
    press("Enter")
    assert shown.seen("pick")[-1]["pick"] == [["weekday", "1"], ["hour", "1"]]


def test_drawn_anew_the_keyboard_goes_on_where_it_was(shown):
    press = shown.page.keyboard.press
    shown.page.evaluate("window.handled = true")
    shown.host(2).focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowRight", "Enter"):
        press(key)
    shown.page.evaluate(
        """() => {
          const host = document.querySelectorAll(".drawing")[2], svg = host.querySelector("svg").outerHTML;
          figures[2].destroy();
          host.innerHTML = svg;
          figures[2] = cosaiOverlay(host, JSON.parse(document.getElementById("map-2").textContent));
        }"""
    )
    press("Enter")
    press("ArrowDown")
    assert [one["index"] for one in shown.seen("pick")] == [5, 5]
    assert shown.status(2) == "day 2, hour 1; 9 jobs"


def test_the_keyboard_marks_a_span(shown):
    press = shown.page.keyboard.press
    shown.host().focus()
    for _ in range(5):
        press("ArrowRight")
    for _ in range(3):
        press("Shift+ArrowRight")
    # from the hour of the point on, in the zone of the figure
    assert shown.status() == "Nov-02 12:00 – 15:00"
    press("Escape")
    assert shown.status() == ""
    for _ in range(3):
        press("Shift+ArrowRight")
    press("Enter")
    assert shown.seen("span") == [{"start": START_MS + 4 * HOUR_MS, "end": START_MS + 7 * HOUR_MS}]
    assert shown.seen("clear") == []
    press("Escape")
    press("Shift+ArrowLeft")
    assert shown.status() == "Nov-02 12:00 – 13:00"


TOUCH = {
    "settings": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "style": "main { padding-bottom: 900px; }",
}


@pytest.mark.parametrize("shown", [TOUCH], indirect=True, ids=["phone"])
def test_a_finger_shows_picks_and_marks(shown):
    page = shown.page
    page.touchscreen.tap(*shown.point(1, 20))
    assert shown.status().startswith("hour 20;")
    tip = shown.host().locator(".cosai-tip").bounding_box()
    assert tip["x"] >= 0
    assert tip["x"] + tip["width"] <= 390
    assert shown.seen("pick") == []
    page.touchscreen.tap(*shown.point(1, 20))
    assert [one["name"] for one in shown.seen("pick")] == ["p95"]
    page.touchscreen.tap(5, 5)
    assert shown.tip() is None
    session = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [{"x": x, "y": y} for x, y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    (x0, y), (x1, _) = shown.hour(10.5), shown.hour(20.5)
    touch("touchStart", (x0, y))
    for step in range(1, 6):
        touch("touchMove", (x0 + (x1 - x0) * step / 5, y))
    touch("touchEnd")
    assert shown.seen("span") == [{"start": START_MS + 10 * HOUR_MS, "end": START_MS + 21 * HOUR_MS}]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = len(shown.seen("span"))
    touch("touchStart", (x0, y))
    for step in range(1, 6):
        touch("touchMove", (x0, y - 40 * step))
    touch("touchEnd")
    page.wait_for_function("scrollY > 0", timeout=5000)  # up and down, the page scrolls
    assert len(shown.seen("span")) == before


def test_hover_takes_less_than_a_frame(browser, tmp_path):
    hours = 2000
    one = Shown(browser, tmp_path, [over_time(hours=hours)])
    took = one.page.evaluate(
        """() => {
          const svg = document.querySelector("svg.cosai-picture"), box = svg.getBoundingClientRect(), took = [];
          for (let i = 0; i < 100; i += 1) {
            const before = performance.now();
            svg.dispatchEvent(new PointerEvent("pointermove", {
              clientX: box.x + box.width * (.15 + .007 * i), clientY: box.y + box.height * (.2 + .004 * i), bubbles: true,
            }));
            document.body.getBoundingClientRect();
            took.push(performance.now() - before);
          }
          return took;
        }"""
    )
    assert statistics.median(took) <= 16
    one.page.close()


@pytest.mark.filterwarnings("ignore:Glyph", "ignore:constrained_layout")  # long names, in no font
def test_hostile_text_is_read_out_and_nothing_else(browser, tmp_path):
    ours = over_time(names=(HOSTILE, "p95"), more=HOSTILE)
    one = Shown(browser, tmp_path, [ours])
    one.page.mouse.move(*one.point(0, 3))
    assert HOSTILE in one.status()
    one.page.mouse.click(*one.point(0, 3))
    assert one.seen("pick")[0]["pick"] == [["tag", HOSTILE]]
    assert HOSTILE in one.host().get_attribute("aria-label")
    assert one.page.locator("img, .drawing script").count() == 0
    assert one.complaints == []
    assert [url for url in one.requests if not url.startswith("data:")] == [one.path.as_uri()]
    one.page.close()


def test_it_stands_in_a_module_before_the_script_that_uses_it(browser, tmp_path):
    after = "\nexport default { render() {} };\n"
    one = Shown(browser, tmp_path, [over_time()], kind=' type="module"', after=after)
    one.page.mouse.move(*one.point(0, 3))
    assert one.status().startswith("hour 3;")
    assert one.complaints == []
    one.page.close()


def test_a_picture_without_a_map_stays_a_picture(browser, tmp_path):
    one = Shown(browser, tmp_path, [Picture(over_time().svg, {})])
    one.page.evaluate("figures[0].show({}), figures[0].zoom(0, 1), figures[0].reset(), figures[0].destroy()")
    assert one.host().get_attribute("tabindex") is None
    assert one.complaints == []
    one.page.close()


def test_windows_and_overlay_leave_the_look_as_matplotlib_made_it(browser, tmp_path):
    whole_pixels = "figure { position: absolute; left: 0; top: 0; margin: 0; width: 864px; } figure + figure { top: 600px; }"
    one = Shown(browser, tmp_path, [over_time("one", plain=True), over_time("two")], style=whole_pixels)
    shots = (one.host(number).locator("svg.cosai-picture").screenshot() for number in (0, 1))
    plain, laid = (np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), dtype=int) for shot in shots)
    assert plain.std() > 10
    differs = abs(plain - laid).max(axis=2)
    assert differs.max() < 40  # edges are smoothed a little otherwise
    assert (differs > 0).mean() < 0.001
    one.page.close()


def test_destroyed_it_leaves_the_picture(shown):
    before = shown.view()
    shown.drag(shown.hour(10), shown.hour(20))
    shown.page.evaluate("figures[0].destroy()")
    assert shown.view() == before != shown.view(3)
    assert shown.host().locator("> *").count() == 1
    assert shown.host().locator("[class^=cosai-]").count() == 1
    shown.page.mouse.move(*shown.point(0, 3))
    shown.drag(shown.hour(10), shown.hour(20))
    assert shown.view() == before
    assert len(shown.seen("span")) == 1


def test_on_paper_nothing_lies_over_the_figures(shown):
    shown.drag(shown.hour(10), shown.hour(20))
    shown.page.mouse.move(*shown.at((200, 100)))
    assert shown.tip()
    shown.page.emulate_media(media="print")
    assert shown.tip() is None
    assert shown.page.get_by_role("button").count() == 0
    assert not shown.host().locator(".cosai-over").is_visible()
    assert shown.host().locator(".cosai-ticks text").first.is_visible()


DARK = {"settings": {"color_scheme": "dark"}}


@pytest.mark.parametrize("shown", [{}, DARK], indirect=True, ids=["light", "dark"])
def test_colours_follow_the_page_and_axe_finds_no_serious_fault(shown, axe):
    dark = shown.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    shown.page.mouse.move(*shown.point(0, 10))
    look = "one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]"
    ink, paper = shown.host().locator(".cosai-tip").evaluate(look)
    lightness = [
        sum(map(int, color.removeprefix("rgb(").removesuffix(")").split(","))) for color in (ink, paper)
    ]
    assert (lightness[0] > lightness[1]) == dark
    shown.page.context.new_cdp_session(shown.page).send("Page.setBypassCSP", {"enabled": True})
    shown.page.reload()
    shown.requests.clear()
    shown.requests.append(shown.path.as_uri())
    shown.page.evaluate(axe)
    shown.drag(shown.hour(10), shown.hour(20))
    shown.page.mouse.move(*shown.at((200, 100)))
    found = shown.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    serious = [fault for fault in found if fault["impact"] in {"serious", "critical"}]
    assert serious == [], json.dumps(serious, indent=1)
