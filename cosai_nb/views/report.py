"""``write_report``: a frame of jobs as one HTML file that opens offline, prints, and asks for nothing."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from cosai_nb import arguments
from cosai_nb.errors import CosaiError, FrameError
from cosai_nb.stats.counts import Counted, count_all
from cosai_nb.stats.durations import durations
from cosai_nb.stats.failures import rates_of
from cosai_nb.stats.histogram import choose
from cosai_nb.stats.measures import Windows, milliseconds
from cosai_nb.table.store import JobStore
from cosai_nb.views import plots, tables
from cosai_nb.views.answers import AUTO, QUEUE, Answers, ask
from cosai_nb.views.changes import Changed, keep_summary, newest_kept, what_changed
from cosai_nb.views.figure import Picture, offsets, picture
from cosai_nb.views.page import render, write_page
from cosai_nb.views.plots.axes import BLUE, by_text, offscreen_axes, window_width, without_tex, zone_name
from cosai_nb.views.plots.failures import errors_shown, rates_shown
from cosai_nb.views.plots.jobs import starts_of, timeline_rows
from cosai_nb.views.plots.latency import latency_curves
from cosai_nb.views.plots.load import load_steps
from cosai_nb.views.plots.text import by_group, describe, plain
from cosai_nb.views.selection import VIEWS, View
from cosai_nb.views.sentences import NO_INTERVAL, Line, group_name, headlines, interval
from cosai_nb.views.tables import Column, Table
from cosai_nb.views.wording import (
    NO_FAILURE,
    NO_WAITING,
    about,
    count,
    duration,
    jobs_in_words,
    label,
    printable,
    share,
    share_range,
    when,
    whole_duration,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo
    from pathlib import Path


TITLE = "Queue latency and failures of AI jobs"
SIZE_IN, WIDE_IN = (6.0, 3.9), (12.0, 5.0)
MOST_PANELS = 2
"""Groups whose figures have axes; those of the others are thin lines."""
_WIDE, _OF_QUEUES = ("slowest", "eta"), ("load", "over_time", "failures_over_time")
_FEW_HOURS = pd.Timedelta("48h")
Markers = Sequence[tuple[pd.Timestamp, str]]
_HELP = "Arrow keys read the values, Shift with arrow keys marks a span, Escape clears."
_MOST_WORDS, _FEW_COUNTS = 700, 100_000
_THIN_POINTS, _FEWEST_POINTS = 1500, 4
_THIN = (320.0, 84.0, 8.0, 16.0, 312.0, 66.0)
"""Width and height of a thin figure, and left, upper, right and lower edge of its data."""


def write_report(
    jobs: Any,
    path: str | Path,
    *,
    title: str = TITLE,
    tz: str | tzinfo = "Asia/Shanghai",
    by: str | Sequence[str] | None = AUTO,
    slo: str | tuple[float, float] | None = None,
    max_failure_rate: float | str | None = None,
    markers: Any = None,
    previous: Any = None,
    keep: str | Path | None = None,
    every: float | str | None = None,
) -> Path:
    """Write one HTML file: the answers in at most five lines, then figures, tables, single jobs and the method.

    Parameters
    ----------
    jobs : pandas.DataFrame, path or JobStore
        One row per job: a frame, a Parquet file or a folder of them, a store. What is on disk is read batch by batch.
    path : str or Path
        The file; it appears when it is whole, and replaces an older one.
    title : str
        Heading.
    tz : str or tzinfo
        Time zone that times are shown in: a name, an offset such as ``"+08:00"``, or a tzinfo.
    by : str or list of str, optional
        Columns to group by; ``"auto"`` is the tag, and the bucket before it where jobs are of several. Every group, every queue
        and every one of several buckets has its figures.
    slo : str or (float, float), optional
        Duration and target: ``"10m:95%"`` or ``(600, 0.95)`` asks that 95 % of the jobs start within 600 s.
    max_failure_rate : float or str, optional
        Share of the jobs that may fail: 0.01 or ``"1%"``.
    markers : dict or pandas.DataFrame, optional
        Deploys, incidents: time → text, or the columns ``time`` and ``text``. They stand in every figure over time.
    previous : pandas.DataFrame, path, JobStore or DurationHistogram, optional
        Earlier jobs, or the saved summary of them: what changed since stands below the first lines, with a verdict. Where both
        have the same jobs, those created since the last of the earlier ones are compared.
    keep : str or Path, optional
        A folder for the summaries of this report and no other. The summary of these jobs is saved there, and without
        ``previous`` the newest of an earlier time takes its place, one that ended before these jobs began if there is any.
    every : float or str, optional
        How often the page is written anew, ``"15m"`` say: an open one tells when a newer one should exist.

    Returns
    -------
    Path
        The file. It needs no network and no other file; a Content-Security-Policy forbids it both.

    Raises
    ------
    TypeError
        ``jobs`` is no source of jobs.
    SettingsError
        No such time zone; ``slo`` is no limit, ``max_failure_rate`` no share, ``path`` no path, ``markers`` no times, ``every``
        no duration.
    FileError
        The jobs cannot be read, or the file or its summary cannot be written.

    Notes
    -----
    A frame that lacks a column still gives a page: it says what is missing and shows the rest. Earlier jobs and summaries that
    cannot be read or compared are a sentence of the page.

    Examples
    --------
    >>> import tempfile
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> folder = tempfile.TemporaryDirectory()
    >>> report = write_report(jobs, f"{folder.name}/report.html", title="Two jobs")
    >>> "<h1>Two jobs</h1>" in report.read_text(encoding="utf-8")
    True
    """
    tz = zone_name(tz)
    slo = None if slo is None else arguments.limit(slo, "slo")
    if max_failure_rate is not None:
        max_failure_rate = arguments.share(max_failure_rate, "max_failure_rate")
    if not isinstance(jobs, pd.DataFrame | str | os.PathLike | JobStore):
        raise TypeError(
            f"A report is made of a pandas DataFrame (as fetch_jobs returns it), a path or a JobStore, not {type(jobs).__name__}."
        )
    if not isinstance(previous, pd.DataFrame | str | os.PathLike | JobStore | Counted | None):
        raise TypeError(
            f"previous= is a DataFrame, a path, a JobStore or a DurationHistogram, not {type(previous).__name__}."
        )
    folder = None if keep is None else arguments.path(keep)
    renewal = None if every is None else _renewal(arguments.duration(every, "every"), tz)
    told = [
        (pd.Timestamp(time).tz_convert("UTC"), text) for time, text in arguments.markers(markers or {}, tz)
    ]
    said = _said(jobs, by, tz, (slo, max_failure_rate), told, previous, folder)
    page = render("report.html.j2", title=printable(title, longest=200), tz=tz, renewal=renewal, **said)
    written = write_page(path, page)
    if folder is not None:
        keep_summary(folder, jobs, by)
    return written


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the garbage until the page is there: figures are full of cycles, and each search for them takes longer."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _renewal(every_s: float, tz: str) -> dict[str, Any]:
    """Return when a page was made, in words and [ms since the epoch], and how often it is, in words and [ms]."""
    now = pd.Timestamp.now(tz="UTC")
    made = {"made": when(now, tz), "made_ms": int(1000 * now.timestamp())}
    return made | {"every": whole_duration(every_s), "every_ms": int(1000 * every_s)}


@_no_collector()
@without_tex
def _said(
    jobs: Any,
    by: str | Sequence[str] | None,
    tz: str,
    limits: tuple[tuple[float, float] | None, float | None],
    markers: Markers,
    previous: Any,
    keep: Path | None,
) -> dict[str, Any]:
    """Return all that the page says of the jobs."""
    page: dict[str, Any] = {key: [] for key in ("window", "cards", "panels", "sections")}
    page |= {"thin": None, "changed": None}
    try:
        answers = ask(jobs, by=by, tz=tz)
    except FrameError as error:
        rows = "no job"
        if isinstance(jobs, pd.DataFrame):
            rows = f"the table has {len(jobs):,} rows, and none of them"
        line = Line("The table cannot be read", str(error), "bad")
        return page | {"lines": [line], "limitations": [f"Everything: {rows} could be counted."]}
    lines = headlines(answers, *limits)
    page |= {"window": _window(answers), "lines": lines, "limitations": _limitations(answers)}
    if not answers.count:
        return page
    changed = _changed(answers, previous, keep)
    drawn = panels(answers, markers, [line.anchor for line in lines])
    if any(figure.look == "thin" for panel in drawn for figure in panel.figures):
        page |= {"thin": thin_map(answers), "dates": thin_dates(answers)}
    tables_ = _sections(answers, markers, changed)
    return page | {"cards": _cards(answers), "panels": drawn, "sections": tables_, "changed": changed}


class Section(NamedTuple):
    """Tables under a heading, or the sentence that stands for them."""

    id: str
    heading: str
    tables: list[Table]
    sentence: str = ""

    @classmethod
    def of(cls, id_: str, heading: str, *found: Table | None, otherwise: str = "") -> Section:
        """Return a section of those tables that there are."""
        there = [table for table in found if table]
        return cls(id_, heading, there, "" if there else otherwise)


def _changed(answers: Answers, previous: Any, keep: Path | None) -> Changed | None:
    """Return what changed since the earlier jobs that are given or kept; None where there is nothing to compare with."""
    remarks: list[str] = []
    if previous is None and keep is not None:
        previous, remarks = newest_kept(keep, answers)
        if previous is None:
            first = "No earlier summary is kept yet: the next report is compared with this one."
            return Changed([Line("What changed: not known", first)], remarks=remarks)
    return None if previous is None else what_changed(answers, previous, remarks)


def _sections(answers: Answers, markers: Markers, changed: Changed | None) -> list[Section]:
    of, told = Section.of, changed.tables if changed else ()
    no_waits = "No job has a known wait, so none can be called slow."
    summary = f"Summary{by_text(answers.by) or ' of all jobs'}"
    starts = tables.expected_starts(answers)
    found = [
        of("changes", "What changed", *told),
        of("queues", "Queues", tables.queues(answers)),
        of("starts", "When will waiting jobs start?", starts, otherwise=NO_WAITING),
        of("summary", summary, *tables.summaries(answers)),
        of("errors", "Errors", tables.errors(answers), otherwise=NO_FAILURE),
        of("slowest", "Slowest jobs", tables.slowest(answers), otherwise=no_waits),
        of("failed", "Failed jobs", tables.failed(answers), otherwise=NO_FAILURE),
        of("markers", "Markers", _markers(markers)),
    ]
    return [section for section in found if section.tables or section.sentence]


def _markers(markers: Markers) -> Table | None:
    if not markers:
        return None
    times, texts = zip(*markers, strict=True)
    columns = {"time": Column("time", times), "text": Column("long", texts)}
    return Table("markers-table", "Markers in the figures over time", columns)


def _window(answers: Answers) -> list[str]:
    times, as_of = answers.times, answers.as_of
    told = [jobs_in_words(answers.count)]
    if not pd.isna(times.first):
        told.append(f"created {when(times.first, answers.tz)} to {when(times.last, answers.tz)}")
    told.append(f"as of {when(as_of, answers.tz)}" if not pd.isna(as_of) else "as of an unknown time")
    offset = "" if pd.isna(as_of) else f" (UTC{as_of.tz_convert(answers.tz):%z})"
    spanned = ""
    if answers.span_s > 0:
        spanned = f"The jobs span {duration(answers.span_s)}, from the first creation to the last creation, start or end. "
    return [", ".join(told), f"{spanned}All times are in {printable(answers.tz)}{offset}."]


class Card(NamedTuple):
    """A number that is read at a glance."""

    name: str
    value: str
    small: str = ""


def _cards(answers: Answers) -> list[Card]:
    latency, run, failures = (
        answers.whole.latency.iloc[0],
        answers.whole.run.iloc[0],
        answers.whole.failures.iloc[0],
    )
    rate = Card("Failure rate", "–", "none has ended")
    if failures["ended"]:
        rate = Card("Failure rate", share(failures["rate"]), share_range(failures["low"], failures["high"]))
    return [
        Card("Jobs", count(answers.count), f"{count(failures['ended'])} ended"),
        Card("Waiting", count(latency["waiting"]), f"{count(answers.outcomes.get('running', 0))} running"),
        *(_quantile_card(f"Queue latency {name}", latency, name) for name in ("p50", "p95")),
        _quantile_card("Run time p95", run, "p95"),
        rate,
    ]


def _quantile_card(heading: str, row: Any, name: str) -> Card:
    beyond = np.isinf(row[name])
    value = f"> {duration(row[f'{name}_lower_bound'])}" if beyond else duration(row[name])
    return Card(heading, value, interval(row, name, NO_INTERVAL))


_NO_JOB = {
    "not_found": ("ID was not found by the service", "IDs were not found by the service"),
    "invalid_id": (
        "value cannot be a job ID and was never sent",
        "values cannot be job IDs and were never sent",
    ),
    "unread": ("ID could not be read; query it again", "IDs could not be read; query them again"),
}


def _limitations(answers: Answers) -> list[str]:
    told = ["Times have a resolution of 1 second; shorter differences are not observed."]
    told += [
        f"{number:,} {_NO_JOB[name][number > 1]}. {'They are' if number > 1 else 'It is'} in no figure here."
        for name, number in answers.counted.left_out.items()
    ]
    if answers.lacking:
        told.append(
            f"The table lacks the columns {', '.join(map(label, answers.lacking))}; what they would tell is shown as missing."
        )
    if answers.times.doubted:
        told.append(
            f"Of {jobs_in_words(answers.times.doubted)} the times are missing, reversed, malformed or later than the observation: counted as jobs, and in those durations that their times give."
        )
    strange = answers.outcomes.get("unknown", 0)
    if strange:
        told.append(f"{jobs_in_words(strange)} in a state that no document lists: counted as unfinished.")
    told.append("Whether a waiting job will start, and whether a running one will fail, is not known.")
    return told


# --- figures ---


class Shown(NamedTuple):
    """A figure with its map, and the table of its numbers; or the sentence that stands for it."""

    id: str
    title: str
    svg: Markup | None = None
    map: dict[str, Any] | None = None
    table: Table | None = None
    sentence: str = ""
    look: str = ""


class Panel(NamedTuple):
    """The figures of one group; ``anchor`` is its part of the address."""

    anchor: str
    name: str
    figures: list[Shown]


def panels(answers: Answers, markers: Markers, wanted: Sequence[str] = ()) -> list[Panel]:
    """Return the figures of all jobs, and of every group and queue.

    Parameters
    ----------
    answers : Answers
        What is known.
    markers : sequence of (pandas.Timestamp, str)
        What stands in every figure over time.
    wanted : sequence of str
        The anchors of the groups whose figures have axes in any case; the others are the largest.
    """
    return [Panel("group=all", "All jobs", _whole(answers, markers)), *_groups(answers, markers, wanted)]


def _whole(answers: Answers, markers: Markers) -> list[Shown]:
    """Return the figures of all jobs: every view of the catalog, and the queues beside each other."""
    found = []
    for name, view in VIEWS.items():
        grouped = answers.by and "by" in view.data and not view.over_time
        more: dict[str, Any] = {"by": list(answers.by)} if grouped else {}
        found.append(_show(f"all-{name}", view, answers, markers, **more))
        if name == "load" and len(answers.sizes.get(QUEUE, ())) > 1:
            found.append(_show("all-queues", view, answers, markers, by=["queue_id"]))
    return found


def _source(answers: Answers, view: View, labels: dict[str, Any]) -> Any:
    """Return what a view draws: counts, or the jobs where it needs them; of a group those with its labels."""
    source: Any = answers.counted  # expected starts are those of single jobs that the counts hold, too
    if view.name in ("load", "errors", "slowest"):
        source = answers.jobs
    elif view.name == "failures_over_time":
        source = answers.windowed
    if not labels:
        return source
    if not isinstance(source, pd.DataFrame):
        return choose(answers.counted, labels)
    chosen = [
        source[name].isna() if pd.isna(one) else source[name].astype("str") == str(one)
        for name, one in labels.items()
    ]
    return source[np.logical_and.reduce(chosen)]


def _show(
    identity: str,
    view: View,
    answers: Answers,
    markers: Markers,
    of: dict[str, Any] | None = None,
    **more: Any,
) -> Shown:
    """Draw a view of all jobs or a group; ``more`` are the arguments of its data that are not those of the whole report."""
    times = answers.times
    if view.name == "load" and times.last - times.first > _FEW_HOURS:
        # full hours or more where there are enough of them, for a finer bin says no more to the eye
        more["freq"] = window_width(times.first, times.last)
    given = {"freq": answers.window, "tz": answers.tz, "markers": markers} | more
    wide = "wide" if view.name in _WIDE else ""
    try:
        asked = {name: given[name] for name in (*view.data, *more) if name in given}
        data = _data(view, _source(answers, view, of or {}), answers, asked)
        data.attrs["names"] = answers.queue_names
        drawn = {name: given[name] for name in (*view.data, *view.drawn) if name in given}
        ax = offscreen_axes(*(WIDE_IN if wide else SIZE_IN))
        ax = getattr(plots, view.plot)(None, data=data, ax=ax, **drawn)
    except CosaiError as error:
        return Shown(identity, view.title, sentence=str(error))
    if not ax.axison:  # nothing to draw: the plot says why
        return Shown(identity, view.title, sentence=" ".join(text.get_text() for text in ax.texts))
    title = ax.get_title(loc="left").partition("\n")[0] or view.title
    picture_ = picture(ax, name=identity, title=title)
    _lighten(picture_.map)
    table = tables.data_table(f"{identity}-data", title, data, answers.queue_names)
    return Shown(identity, title, picture_.svg, picture_.map, table, look=wide)


def _data(view: View, source: Any, answers: Answers, given: dict[str, Any]) -> pd.DataFrame:
    """Return what a view draws; what the report knows already is not asked again."""
    if view.name == "latency":
        of: Any = {"by": given.get("by"), "q": (0.5, 0.95), "names": {}}
        return latency_curves(answers.counted, answers.grouped.latency, **of)
    if view.name == "eta":
        return starts_of(answers.starts, None, names={}, of=about(answers.counted))
    names = [*(given.get("by") or ())]
    if view.name == "failures":
        told = describe(answers.counted, names, {}, about(answers.counted), width_s=None, tz=answers.tz)
        return rates_shown(answers.grouped.failures, names, told)
    if view.name == "errors":
        return errors_shown(answers.errors, about(answers.counted))
    if view.name == "slowest":
        return timeline_rows(source, about(answers.counted))
    if view.name == "load" and source is answers.jobs:
        freq = given.get("freq")
        known = answers.load_of_queues if names == [*QUEUE] and freq == answers.window else None
        return load_steps(source, answers.counted, names, freq, answers.tz, table=known)
    data: pd.DataFrame = getattr(plots, f"{view.plot}_data")(source, **given)
    return data


def _lighten(found: dict[str, Any]) -> None:
    """Keep of a map what a page without a kernel needs: no picks, of many points the highest of each stretch."""
    every = found.get("series", ())
    most = _MOST_WORDS // max(len(every), 1)
    for series in every:
        series["pick"] = series["pick"] and []
        if "boxes" in series:
            series["picks"] = []
        elif len(series["at"]) > most:
            stretches = np.array_split(np.arange(len(series["at"])), most)
            kept = [min(stretch.tolist(), key=lambda place: series["at"][place][1]) for stretch in stretches]
            series |= {name: [series[name][place] for place in kept] for name in ("at", "words")}


# --- figures of every group ---


def _groups(answers: Answers, markers: Markers, wanted: Sequence[str]) -> Iterator[Panel]:
    """Yield the figures of each group and queue, where there are several: a few with axes, the others thin."""
    sizes = {by: groups["jobs"] for by, groups in answers.sizes.items() if len(groups) > 1}
    groups = [
        (by, key, answers.anchors[by, plain(key)], jobs)
        for by, of_groups in sizes.items()
        for key, jobs in of_groups.items()
    ]
    order = sorted(groups, key=lambda group: (group[2] not in wanted, -group[3]))
    # to count again for a group takes a tenth of a second
    few = len(answers.counted.tables["queue_latency"]) <= _FEW_COUNTS
    with_axes = {anchor for _, _, anchor, _ in order[: MOST_PANELS if few else 0]}
    thin = {by: _thin(answers, by, len(groups), markers) for by in sizes if len(groups) > len(with_axes)}
    for place, (by, key, anchor, _) in enumerate(groups):
        labels = key if isinstance(key, tuple) else (key,)
        if anchor in with_axes:
            of = dict(zip(by, labels, strict=True))
            figures = [
                _show(f"g{place}-{name}", VIEWS[name], answers, markers, of)
                for name in _OF_QUEUES
                if name != "load" or by == QUEUE
            ]
        else:
            figures = thin[by].get(plain(labels), [])
        yield Panel(anchor, group_name(by, answers.name(by, key)), figures)


def _thin(answers: Answers, by: tuple[str, ...], groups: int, markers: Markers) -> dict[Any, list[Shown]]:
    """Return thin lines over time for each group, with fewer points where there are many groups."""
    names, tz, windows = list(by), answers.tz, Windows.of(answers.window, answers.tz)
    width = pd.Timedelta(windows.width, "ms")
    keys, ends = (*by, "time"), (*by, "time", "outcome", "code")
    wanted = {"jobs": ends, "run_time": ends, "queue_latency": keys}
    counted = count_all(answers.windowed, wanted, windows=windows)
    latency, rates = durations(counted, keys, (0.95,)), rates_of(counted, keys, intervals=False)
    known = np.isfinite(latency["p95"])
    longest = latency["p95"].where(known, latency["p95_lower_bound"])
    measures: list[tuple[str, Any, Any, Any, Callable[[float], str]]] = [
        ("Queue latency p95", longest, latency["jobs"], known, duration),
        ("Failure rate", rates["rate"], rates["jobs"], True, share),
    ]
    if by == QUEUE:
        load = answers.load_of_queues
        measures.insert(0, ("Most waiting", load["waiting_max"], load["arrivals"], True, count))
    most = max(_THIN_POINTS // (groups * len(measures)), _FEWEST_POINTS)
    found: dict[Any, list[Shown]] = {}
    for title, values, jobs, exact, in_words in measures:
        columns = {"value": values.astype(float), "jobs": jobs, "exact": exact}
        every = pd.DataFrame(columns).dropna().reset_index()
        for key, part in by_group(every[every["time"].notna()], names):
            stretch = np.arange(len(part)) * most // max(len(part), most)
            kept = part.loc[part.groupby(stretch)["value"].idxmax()]  # of each stretch the largest
            told = [
                f"{'' if sure else '≥ '}{in_words(value)}"
                for value, sure in zip(kept["value"], kept["exact"], strict=True)
            ]
            words = [
                f"{window(at, width)}: {value}, {jobs_in_words(number)}"
                for at, value, number in zip(kept["time"].dt.tz_convert(tz), told, kept["jobs"], strict=True)
            ]
            course = kept.assign(middle=milliseconds(kept["time"] + width / 2), words=words)
            top = f"max {told[int(kept['value'].to_numpy().argmax())]}"
            drawn = _thin_picture(course, title, top, answers, markers)
            found.setdefault(key, []).append(Shown("", title, drawn.svg, drawn.map, look="thin"))
    return found


def thin_map(answers: Answers) -> dict[str, Any]:
    """Return what the maps of all thin figures have in common."""
    width, height, *box = _THIN
    return {
        "size": [width, height], "box": box, "time": answers.clock, "zone": answers.tz,
        "offsets": offsets(answers.tz, *answers.clock), "snap": 3_600_000, "help": _HELP, "font": 10,
        "named": True,  # what a value is of: the words of each point do without it
    }  # fmt: skip


def thin_dates(answers: Answers) -> Markup:
    """Return the first and the last day of all thin figures, which use them by their ID."""
    _, height, x0, _, x1, _ = _THIN
    begin, end = (
        f"{pd.Timestamp(moment, unit='ms', tz='UTC').tz_convert(answers.tz):%Y-%m-%d}"
        for moment in answers.clock
    )
    # the page's style does not reach what is used elsewhere
    text = f'<text font-size="10" fill="currentColor" y="{height - 4:g}"'
    told = f'{text} x="{x0:g}">{begin}</text>{text} x="{x1:g}" text-anchor="end">{end}</text>'
    svg = f'<svg class="dates" width="0" height="0" aria-hidden="true"><g id="thin-dates">{told}</g></svg>'
    return Markup(svg)  # noqa: S704 - nothing of a user is in it


def _thin_picture(course: pd.DataFrame, title: str, top: str, answers: Answers, markers: Markers) -> Picture:
    """Return one line over time in a kilobyte: axes of matplotlib cost ten times as much, in time and size."""
    (width, height, x0, y0, x1, y1), (begin, end) = _THIN, answers.clock

    def across(time_ms: Any) -> Any:
        return x0 + (time_ms - begin) * (x1 - x0) / (end - begin)

    down = y1 - (y1 - y0) * course["value"] / max(course["value"].max(), 1e-9)
    points = np.column_stack([across(course["middle"]), down]).clip((x0, y0), (x1, y1)).round(1).tolist()
    series: list[dict[str, Any]] = [{"name": title, "color": BLUE, "at": points, "words": [*course["words"]]}]
    told = [
        (across(time.timestamp() * 1000), f"{when(time, answers.tz)}: {printable(text)}")
        for time, text in markers
    ]
    told = [(round(place, 1), text) for place, text in told if x0 <= place <= x1]
    if told:
        places, texts = [[place, y0] for place, _ in told], [text for _, text in told]
        marks = {"name": "markers", "color": "currentColor", "at": places, "words": texts, "single": True}
        series.append(marks)
    rules = "".join(f"M{place:g} {y0:g}V{y1:g}" for place, _ in told)
    rule = f'<path class="rule" d="{rules}"/>' if rules else ""
    svg = (
        f'<svg class="cosai-picture" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f'<path class="axis" d="M{x0:g} {y1:g}H{x1:g}"/><svg class="data" x="{x0:g}" y="0" width="{x1 - x0:g}" height="{height:g}" '
        f'viewBox="{x0:g} 0 {x1 - x0:g} {height:g}" preserveAspectRatio="none">{rule}'
        f'<path class="course" stroke="{BLUE}" d="M{"L".join(f"{a:g} {b:g}" for a, b in points)}"/></svg><text x="{x0:g}" y="11">{escape(top)}</text>'
        '<use class="tick" href="#thin-dates"/></svg>'
    )
    return Picture(Markup(svg), {"series": series})  # noqa: S704 - every text in it is escaped
