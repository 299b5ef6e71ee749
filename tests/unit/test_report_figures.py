"""A figure becomes markup that a strict policy admits, twice in one page, in the light and in the dark."""

import re
import warnings
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from cosai_nb.views.figure import inline_svg

HREF = "{http://www.w3.org/1999/xlink}href"


def drawn(name="one", title="a picture", text="label", *, layout="constrained"):
    figure = Figure(figsize=(5, 3), layout=layout)
    ax = figure.subplots()
    ax.plot([1, 2, 3], [3, 1, 2], marker="o", color="#0072B2")
    mesh = ax.pcolormesh(np.arange(4).reshape(2, 2), cmap="cividis")
    figure.colorbar(mesh)
    ax.patch.set(facecolor="white", hatch="////")
    ax.set_title(text, fontweight="bold")
    return inline_svg(figure, name=name, title=title)


def test_nothing_in_it_is_a_style_a_script_or_metadata():
    svg = str(drawn())
    root = ET.fromstring(svg)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"style", "script", "metadata", "a", "foreignObject", "title"}
    assert not any(
        key.startswith("on") or key == "style" for element in root.iter() for key in element.attrib
    )
    assert "<!DOCTYPE" not in svg
    assert root.get("role") == "img"
    assert root.get("viewBox")
    assert root.get("width") is None


def test_every_reference_has_its_target_inside_and_ids_differ_between_figures():
    ids = []
    for name in ("one", "two"):
        root = ET.fromstring(str(drawn(name)))
        own = [element.get("id") for element in root.iter() if element.get("id")]
        links = {element.get(HREF)[1:] for element in root.iter() if element.get(HREF, "").startswith("#")}
        for element in root.iter():
            for value in element.attrib.values():
                links |= set(re.findall(r"url\(#([^)]+)\)", value))
        assert links
        assert links <= set(own)
        assert len(own) == len(set(own))
        ids.append(set(own))
    assert not ids[0] & ids[1]


def test_pictures_inside_are_data_and_stay_so():
    root = ET.fromstring(str(drawn()))
    images = [element.get(HREF) for element in root.iter() if element.tag.endswith("image")]
    assert images
    assert all(link.startswith("data:image/png;base64,") for link in images)


def test_ink_and_paper_follow_the_page_and_colours_stay():
    root = ET.fromstring(str(drawn()))
    texts = [element for element in root.iter() if element.tag.endswith("}text")]
    assert texts
    assert all("ink-fill" in element.get("class", "") for element in texts)
    values = [
        value for element in root.iter() for key, value in element.attrib.items() if key in {"fill", "stroke"}
    ]
    assert "#0072b2" in values
    assert not {"#000000", "#ffffff"} & set(values)


def test_text_keeps_its_size_and_weight():
    root = ET.fromstring(str(drawn(text="the title")))
    (title,) = [element for element in root.iter() if element.text == "the title"]
    assert title.get("font-weight") in {"bold", "700"}
    assert float(title.get("font-size").removesuffix("px")) > 10


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><svg onload=alert(1)>', "&amp;", "翻译"])
def test_hostile_text_is_text(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a font without CJK
        svg = drawn(text=text, title=text)
    root = ET.fromstring(str(svg))
    assert root.get("aria-label") == text
    assert text in [element.text for element in root.iter()]
    assert len([element for element in root.iter() if element.tag.endswith("}svg")]) == 1


def test_the_same_figure_gives_the_same_bytes():
    assert drawn() == drawn()


def bars(colors):
    ax = Figure(figsize=(5, 3)).subplots()
    corners = [[(left, 0), (left, 1), (left + 0.5, 1), (left + 0.5, 0)] for left in range(4)]
    ax.add_collection(PolyCollection(corners, facecolors=colors))
    ax.set_xlim(0, 4)
    return str(inline_svg(ax.figure, name="one", title="bars"))


def test_shapes_of_one_look_are_one_path_and_others_keep_theirs():
    assert bars(["#0072b2"]).count("#0072b2") == 1
    many = bars(["#0072b2", "#d55e00", "#009e73", "#cc79a7"])
    assert all(many.count(color) == 1 for color in ("#0072b2", "#d55e00", "#009e73", "#cc79a7"))


def test_a_figure_without_layout_engine_is_drawn_as_well():
    assert drawn(layout="none")
