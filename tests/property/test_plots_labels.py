"""Whatever a label holds, it is one short line that draws; whatever the waits are, the curve is a distribution."""

import warnings

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import cosai_nb as cn
from cosai_nb.views.plots import text

ANY_TEXT = st.text(st.characters(), max_size=80) | st.text(
    st.sampled_from("$_\\^{}\n\u202e译é🦊 "), max_size=60
)


@given(ANY_TEXT, st.integers(5, 60))
def test_a_label_is_short_printable_and_without_mathtext(value, longest):
    shown = text.label(value, longest=longest)
    drawn, is_math = Figure().text(0, 0, shown)._preprocess_math(shown)
    assert not is_math
    assert shown.strip()
    assert all(character.isprintable() for character in drawn)
    assert len(drawn) <= max(longest, len("(80 spaces)"))


@settings(max_examples=40, deadline=None)
@given(ANY_TEXT)
def test_a_label_draws_without_a_warning(value):
    figure = Figure(figsize=(3, 1))
    figure.text(0.1, 0.5, text.label(value), fontfamily=text.families())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # an old matplotlib calls a new pyparsing by its old names
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"matplotlib\.|pyparsing\.")
        figure.canvas.draw()


@given(st.lists(ANY_TEXT | st.none(), max_size=12))
def test_no_two_groups_share_a_name(values):
    shown = text.labels(values)
    assert len(set(shown)) == len(shown)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans()), min_size=1, max_size=60))
def test_the_curve_rises_from_0_to_at_most_1_and_counts_every_job(waits):
    zero = pd.Timestamp("2026-11-02T00:00:00Z")
    texts = pd.DataFrame(
        {
            "JobId": [f"a{n}" for n in range(len(waits))],
            "State": ["Success" if started else "Submitted" for _, started in waits],
            "CreationTime": [(zero + pd.Timedelta(seconds=5000 - wait)).isoformat() for wait, _ in waits],
            "StartTime": [
                (zero + pd.Timedelta(seconds=5000)).isoformat() if started else "-" for _, started in waits
            ],
            "EndTime": [
                (zero + pd.Timedelta(seconds=5000)).isoformat() if started else "-" for _, started in waits
            ],
        }
    )
    curve = cn.plots.queue_latency_data(cn.add_timings(texts, observed_at=zero + pd.Timedelta(seconds=5000)))
    share = curve["started_share"].to_numpy()
    assert (np.diff(share) >= -1e-12).all()
    assert share.min() >= 0
    assert share.max() <= 1
    assert curve["started"].sum() + curve["not_started"].sum() == len(waits)
    assert curve["started"].sum() == sum(started for _, started in waits)
    if all(started for _, started in waits):
        assert share[-1] == 1
