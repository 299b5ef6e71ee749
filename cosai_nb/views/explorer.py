"""An explorer of jobs: linked views, a list of jobs, and one sentence, all of one selection.

Python holds the state, computes and words; ``assets/explorer.js`` draws the controls and says what a user did. Each message has a
number, which the answer repeats, so that the page sends the newest change only, and shows no old one.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import math
from threading import Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anywidget
import numpy as np
import pandas as pd
import traitlets

import cosai_nb
from cosai_nb import arguments
from cosai_nb.errors import CosaiError, FrameError, SettingsError
from cosai_nb.schema import Outcome
from cosai_nb.stats.durations import survival_curves
from cosai_nb.stats.latency import latency_of, name_of
from cosai_nb.stats.measures import UNFINISHED, Windows
from cosai_nb.table.store import JobStore
from cosai_nb.views import plots
from cosai_nb.views.figure import picture, png
from cosai_nb.views.page import asset
from cosai_nb.views.plots import axes
from cosai_nb.views.plots.jobs import starts_of
from cosai_nb.views.plots.latency import latency_curves
from cosai_nb.views.plots.over_time import draw_overview
from cosai_nb.views.plots.text import label as short_label
from cosai_nb.views.selection import CALENDAR, VIEWS, Selection, read_labels, read_moment
from cosai_nb.views.sentences import COLUMN_NAMES, finding
from cosai_nb.views.sources import LISTED, PAGE, Listing, Sources, course
from cosai_nb.views.wording import UNKNOWN, about, count, duration, jobs_in_words, label, printable, when

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from matplotlib.axes import Axes

    from cosai_nb.service.client import Client

_PX, _DPI = 96, 100
_NARROW, _WIDE = 300, 1500
_QUANTILES = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99"}
_MOST_OPTIONS, _MOST_ROWS = 200, 500
_DEADLINE_S = 60
_TITLES = {
    "job_id": "Job",
    "creation_time": "Created",
    "queue_latency_s": "Waited",
    "run_time_s": "Ran",
    **COLUMN_NAMES,
    **CALENDAR,
}
_KEEP: Any = object()


def explore(
    jobs: Any, *, tz: str | tzinfo = axes.DISPLAY_ZONE, markers: Any = None, client: Client | None = None
) -> Explorer:
    """Look at jobs from all sides in a notebook: filter, group, and read the answer as a sentence and a figure.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job: a frame, a Parquet file or a folder of them, a store; or their histogram, which knows no single
        jobs. Jobs are counted once; after that a change costs the same for a thousand of them and for a million. Columns of
        your own can be filtered and grouped by, if they hold texts, whole numbers or True and False, 50 values at most.
    tz : str or tzinfo
        Time zone of axes and of the From and To fields.
    markers : dict, pandas.DataFrame or list of pairs, optional
        Deploys, incidents: time → text, drawn in every figure over time; as in :func:`cosai_nb.plots.latency_over_time`.
    client : Client, optional
        Whom to ask for the whole answer about a job that is opened.

    Returns
    -------
    Explorer
        A widget. ``.selection`` is what it shows, ``.data()`` the small frame that its figure draws, ``.code()``
        the Python that reproduces the view; ``.select(…)`` does what a user does.

    Raises
    ------
    TypeError
        ``jobs`` is no source of jobs.
    SettingsError
        ``tz`` is no time zone; ``markers`` are none.
    FrameError, FileError
        A file lacks a column, or cannot be read.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Running"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": "2026-11-01T10:00:07+0800", "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> explorer = explore(cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z"))
    >>> explorer.select(q=0.5)
    >>> explorer
    Explorer: 50 % of the jobs start within 7 s. (2 jobs, 50.0 % unfinished)
    """
    zone = axes.zone_name(tz)
    read = None if markers is None else arguments.markers(markers, zone)
    return Explorer(Sources(jobs), Selection(tz=zone), read, client)


class Explorer(anywidget.AnyWidget):  # type: ignore[misc]  # anywidget is untyped here
    """The widget that :func:`explore` returns.

    Attributes
    ----------
    selection : Selection
        What is shown, as a frozen value.
    sentence : str
        What stands above the figure.
    """

    selection: Selection
    _overview_of: tuple[Selection, int] | None
    _esm = asset("overlay.js") + asset("explorer.js")
    _css = asset("overlay.css") + asset("explorer.css")
    _state = traitlets.Dict().tag(sync=True)
    _figure = traitlets.Dict().tag(sync=True)
    _overview = traitlets.Dict().tag(sync=True)
    _jobs = traitlets.Dict().tag(sync=True)
    _job = traitlets.Dict().tag(sync=True)
    _menu = traitlets.Dict().tag(sync=True)
    _table = traitlets.Dict().tag(sync=True)

    def __init__(self, sources: Sources, selection: Selection, markers: Any, client: Client | None) -> None:
        self._sources, self.selection, self._markers, self._client = sources, selection, markers, client
        self._listing, self._width, self._token = Listing(), 920, f"x{uuid4().hex[:8]}"
        self._answered: dict[str, int] = {}
        self._menu_of: tuple[str, str] | None = None
        self._table_open, self._overview_of = False, None
        self._ax: Axes | None = None
        self._summary: pd.DataFrame | None = None
        self.sentence, self._note = "", self._notes()
        super().__init__()
        self.on_msg(self._receive)
        self._update()

    # --- what it shows ---

    def select(
        self,
        *,
        start: Any = _KEEP,
        end: Any = _KEEP,
        by: Any = _KEEP,
        q: Any = _KEEP,
        tab: Any = _KEEP,
        **labels: Any,
    ) -> None:
        """Do what a user does: choose jobs, a grouping, a quantile, a view. What is not given stays.

        Parameters
        ----------
        start, end : str or datetime, optional
            Window of creation; a time without a zone is in the display zone, None is no limit. Of a histogram full hours are
            chosen.
        by : str, optional
            Column to group by, None for none.
        q : float, optional
            Quantile between 0 and 1.
        tab : str, optional
            A view: latency, over_time, weekdays, failures, failures_over_time, load, errors, slowest or eta.
        **labels : str or list of str, optional
            Of a column the labels that are shown, None for a missing one; an empty list for all jobs. ``weekday`` ("Monday")
            and ``hour`` (0 to 23) are those of creation.

        Raises
        ------
        SettingsError
            There is no such view, column, quantile or time.
        """
        changes: dict[str, Any] = {}
        for name, value in (("start", start), ("end", end)):
            if value is not _KEEP:
                time = read_moment(name, value, self.selection.tz)
                if time is not None and not self._sources.single:  # the hour that holds it
                    time = time.floor("h") if name == "start" else time.ceil("h")
                changes[name] = time
        if tab is not _KEEP:
            if tab not in [*VIEWS]:
                raise SettingsError(f"tab={tab!r} is no view; choose one of {', '.join(VIEWS)}.")
            changes["tab"] = tab
        if q is not _KEEP:
            changes["q"] = arguments.share(q, "q", above_0=True)
            if changes["q"] >= 1:
                raise SettingsError(f"q={q!r} must lie between 0 and 1, such as 0.95.")
        if by is not _KEEP:
            changes["by"] = None if by is None else self._column("grouped by", by, self._sources.columns)
        chosen = dataclasses.replace(self.selection, **changes)
        for column, values in labels.items():
            self._column("a filter", column, (*self._sources.columns, *CALENDAR))
            chosen = chosen.with_labels(column, read_labels(column, values))
        self._choose(chosen)

    def _column(self, use: str, name: str, known: Sequence[str]) -> str:
        if name in known:
            return name
        why = self._sources.refused.get(name) if isinstance(name, str) else None
        reason = f": {why}" if why else f"; there are {', '.join(known)}"
        raise SettingsError(f"{name!r} cannot be {use}{reason}.")

    def _choose(self, chosen: Selection) -> None:
        if chosen == self.selection:
            return
        new, old = ((one.filters, one.start, one.end) for one in (chosen, self.selection))
        if new != old:  # other jobs are listed from the first page on
            self._listing = self._listing.changed({"page": 0})
        self.selection = chosen
        self._update()

    def data(self) -> pd.DataFrame:
        """Return the small frame that the figure draws.

        Raises
        ------
        FrameError
            The jobs lack a column, or the view needs single jobs and there is only their histogram.
        """
        return self._look()[0]

    def _look(self) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
        """Return what is drawn, and in the view of latency the quantiles of the groups and those of all jobs."""
        selection, names = self.selection, self._sources.names
        source, (part, behind) = self._sources.of(selection), self._sources.part(selection)
        if selection.tab == "eta":
            assert part.recent is not None  # noqa: S101 - of a histogram there is no such view
            waiting = part.recent[part.recent["kind"] == UNFINISHED]
            chosen = None if selection.is_all else waiting["job_id"]
            return starts_of(source, chosen, names=names, of=about(part)), []
        if selection.tab != "latency":
            summary = selection.data(source, **self._windows())
            summary.attrs["about"] = about(part)
            if "names" in summary.attrs:
                summary.attrs["names"] = names
            return summary, []
        groups = [(selection.by,), ()] if selection.by else [()]
        tables = [latency_of(part, behind, by, selection.shares, intervals=False) for by in groups]
        tables[0].attrs["names"] = names  # the sentence names a group
        whole = tables[-1]
        if np.isinf(whole[name_of(selection.q)]).any():
            whole["started"] = 1 - survival_curves(part)["survival"].iloc[-1]
        shown = latency_curves(part, tables[0], by=selection.by, q=selection.shares, names=names)
        return shown, [tables[0], whole]

    def _windows(self) -> dict[str, str]:
        """Return the width of the windows of a view that asks for one, which follows the span of the jobs."""
        selection = self.selection
        if "freq" not in selection.view.data:
            return {}
        first, last = self._sources.span(selection)
        freq = axes.window_width(first, last)
        # where hours begin at half past, counts know those of UTC only
        whole = Windows.of(freq, selection.tz).whole_hours
        return {"freq": freq} if whole else {"freq": freq, "tz": "UTC"}

    def code(self) -> str:
        """Return the Python that reproduces the view of a variable ``jobs``: what was given to :func:`explore`."""
        selection, jobs = self.selection, self._sources.jobs
        single = self._sources.gives_rows(selection) or (selection.tab == "latency" and selection.is_all)
        told: dict[str, Any] = {"markers": self._markers is not None}
        try:
            told |= self._windows()
        except FrameError:
            told["freq"] = "1h"
        if not self._sources.single:
            return selection.code("histogram", **told)
        stored = "store" if isinstance(jobs, JobStore) else "path"
        source = "frame" if isinstance(jobs, pd.DataFrame) else stored
        return selection.code(source, single=single, counted=selection.whole_hours, **told)

    # --- drawing ---

    @axes.without_tex
    def _draw(self) -> None:
        """Draw the figure and word the sentence."""
        selection, view = self.selection, self.selection.view
        inches = self._width / _PX
        self._summary = None
        try:
            summary, quantiles = self._look()
            self.sentence = finding(selection, summary, *quantiles)
            height = view.height + view.row * max(len(summary) if view.row else 0, 3)
            ax = axes.offscreen_axes(inches, height)
            selection.draw(summary, ax, self._markers)
            self._summary = summary
        except CosaiError as error:
            self.sentence = str(error)
            ax = axes.offscreen_axes(inches, 2)
            axes.show_message(ax, "Nothing to draw: see the sentence above.")
        self._ax, self._figure = ax, self._picture(ax, "f", f"Figure: {self.sentence}")

    def _picture(self, ax: Axes, which: str, title: str) -> dict[str, Any]:
        svg, map_ = picture(ax, name=f"{self._token}{which}", title=title)
        return {"svg": str(svg), "map": map_}

    @axes.without_tex
    def _draw_overview(self) -> None:
        """Draw the jobs over all time under the filters, unless that is what is shown."""
        everywhen = dataclasses.replace(
            self.selection, start=None, end=None, by=None, tab="over_time", q=0.95
        )
        if (everywhen, self._width) == self._overview_of:
            return
        try:
            told = plots.latency_over_time_data(self._sources.part(everywhen)[0], q=(0.95,), tz=everywhen.tz)
        except FrameError:
            return
        ax = draw_overview(told, self._width / _PX, everywhen.tz)
        self._overview_of = (everywhen, self._width)
        self._overview = self._picture(ax, "o", "Jobs created, and p95 of their queue latency, over time")

    def _update(self, *what: str) -> None:
        """Bring what is shown up to date: all of it, or some of figure, list, menu, table and job."""
        with self.hold_sync():
            if not what or "figure" in what:
                self._draw_overview()
                self._draw()
            if not what or "list" in what:
                self._list()
            if not what or "menu" in what:
                self._fill_menu()
            if not what or "table" in what or "figure" in what:
                self._fill_table()
            self._tell()

    def _tell(self) -> None:
        """Say what the controls show."""
        selection, sources = self.selection, self._sources
        groups, quantiles = [], []
        if selection.view.takes("by"):
            groups = [["", "nothing"], *([name, self._named(name)] for name in sources.columns)]
        if selection.view.takes("q"):
            names = {selection.q: f"p{100 * selection.q:g}"} | _QUANTILES
            quantiles = sorted(names.items())
        self._state = {
            "answered": dict(self._answered),
            "tabs": [[view.name, view.title] for view in VIEWS.values()],
            "tab": selection.tab,
            "by": selection.by if groups else None,
            "groups": groups,
            "q": selection.q,
            "quantiles": quantiles,
            "filters": [
                [name, self._named(name), len(selection.labels_of(name))]
                for name in (*sources.columns, *CALENDAR)
            ],
            "chips": self._chips(),
            "window": self._window(),
            "sentence": self.sentence,
            "code": self.code(),
            "note": self._note,
            "client": self._client is not None,
        }

    def _named(self, column: str) -> str:
        return _TITLES.get(column, printable(column, longest=40))

    def _text(self, column: str, value: Any) -> str:
        """Return a label as it is shown: of a queue its name, where that is known."""
        return label(self._sources.names.get(value, value) if column == "queue_id" else value)

    def _chips(self) -> list[list[Any]]:
        selection = self.selection
        chips: list[list[Any]] = [
            [name, value, f"{self._named(name)}: {self._text(name, value)}"]
            for name, labels in selection.filters
            for value in labels
        ]
        start, end = (edge and when(edge, selection.tz) for edge in (selection.start, selection.end))
        if start or end:
            words = f"Created from {start}" if start else f"Created before {end}"
            chips.append(["", None, f"Created: {start} to {end}" if start and end else words])
        return chips

    def _window(self) -> dict[str, Any]:
        edges = {"start": self.selection.start, "end": self.selection.end}
        shown = {
            name: "" if edge is None else f"{edge.tz_convert(self.selection.tz):%Y-%m-%dT%H:%M}"
            for name, edge in edges.items()
        }
        span = [None if edge is None else round(edge.timestamp() * 1000) for edge in edges.values()]
        ends = self._overview.get("map", {}).get("time") or [None, None]
        return {**shown, "span": span, "ends": ends, "step": 60 if self._sources.single else 3600}

    def _notes(self) -> str:
        sources, tz = self._sources, self.selection.tz
        said = [
            f"From and To: time of creation, {tz}"
            + ("" if sources.single else ", full hours: a histogram knows no minutes")
        ]
        with contextlib.suppress(FrameError):
            first, last = sources.span(Selection(tz=tz))
            if not pd.isna(first):
                said.append(f"there are jobs from {when(first, tz)} to {when(last, tz)}")
        if sources.refused:
            why = ", ".join(f"{printable(name, longest=40)} ({why})" for name, why in sources.refused.items())
            said.append(f"no filter: {why}")
        return "; ".join(said) + "."

    def _fill_menu(self) -> None:
        """Count the labels of the menu that is open, under the other filters."""
        if self._menu_of is None:
            self._menu = {}
            return
        column, text = self._menu_of
        chosen = self.selection.labels_of(column)
        found = []
        with contextlib.suppress(CosaiError):
            for value, jobs in self._sources.options(self.selection, column):
                name = self._text(column, value)
                if text.lower() in f"{name} {value or ''}".lower():
                    found.append([value, name, count(jobs), value in chosen])
        self._menu = {
            "column": column,
            "title": self._named(column),
            "text": text,
            "options": found[:_MOST_OPTIONS],
            "more": max(len(found) - _MOST_OPTIONS, 0),
        }

    def _fill_table(self) -> None:
        """Show the numbers of the figure, where one looks at them."""
        if not self._table_open or self._summary is None:
            self._table = {}
            return
        shown, every = self._summary.head(_MOST_ROWS), len(self._summary)
        less = f"The first {len(shown):,} of {every:,} rows; explorer.data() has all."
        rows = shown.itertuples(index=False)
        self._table = {
            "columns": [str(name) for name in shown.columns],
            "rows": [[_cell(value, self.selection.tz) for value in row] for row in rows],
            "note": less if len(shown) < every else "",
        }

    def _list(self) -> None:
        """Show a page of the jobs that are selected."""
        listing = self._listing
        try:
            page, total = self._sources.page(self.selection, listing)
        except CosaiError as error:
            self._jobs = {"note": str(error), "columns": [], "rows": []}
            return
        rows = []
        for row in page[list(LISTED)].to_dict("records"):
            job_id = None if pd.isna(row["job_id"]) else str(row["job_id"])
            rows.append([job_id, *(self._listed(name, row[name], row["outcome"]) for name in LISTED)])
        found = f" with “{printable(listing.text, longest=40)}”" if listing.text else ""
        self._jobs = {
            "columns": [[name, _TITLES[name], listing.order_of(name)] for name in LISTED],
            "rows": rows,
            "note": f"{jobs_in_words(total)}{found}",
            "text": listing.text,
            "page": listing.page,
            "pages": max(math.ceil(total / PAGE), 1),
        }

    def _listed(self, name: str, value: Any, outcome: Any) -> str:
        if name == "job_id":
            return UNKNOWN if pd.isna(value) else short_label(value, longest=16)
        if name.endswith("_s"):
            waits = name == "queue_latency_s" and outcome == Outcome.WAITING
            return duration(value) + " so far" * waits
        if name == "creation_time":
            return when(value, self.selection.tz)
        return UNKNOWN if pd.isna(value) else self._text(name, str(value))

    def open_job(self, job_id: str | None) -> None:
        """Show every column of a job below the list; None closes it.

        Raises
        ------
        FrameError
            There is no such job.
        """
        job = None if job_id is None else self._sources.job(job_id) if self._sources.single else None
        if job_id is not None and job is None:
            raise FrameError(
                f"There is no job {printable(job_id, longest=60)} among the jobs that are explored."
            )
        if job is None:
            self._job = {}
            return
        tz = self.selection.tz
        told, parts = course(job, tz)
        rows = [[printable(name), _cell(value, tz)] for name, value in job.items()]
        self._job = {"id": str(job["job_id"]), "course": told, "parts": parts, "rows": rows}

    # --- what a user did ---

    def _receive(self, _: Any, message: dict[str, Any], __: Any = None) -> None:
        """Do what the page asks for; every message is answered, so that the page may send the next."""
        self._answered[str(message.get("view"))] = int(message.get("number", 0))
        what: tuple[str, ...] = ("controls",)
        try:
            what = self._act(str(message.get("kind")), message)
        except CosaiError as error:
            self.send({"kind": "trouble", "text": str(error)})
        finally:
            if self._state["answered"] != self._answered:  # what it changed has told already
                self._update(*what)

    def _act(self, kind: str, message: dict[str, Any]) -> tuple[str, ...]:
        """Change the state, and return what of the page is to be brought up to date beside the controls."""
        choices = {"select": self._take, "pick": self._pick, "answer": self._ask}
        if kind in choices:
            choices[kind](message)
        elif kind == "open":
            self.open_job(message["job_id"])
        elif kind == "width":
            self._width = int(min(max(float(message["width"]), _NARROW), _WIDE))
            return ("figure",)
        elif kind == "list":
            self._listing = self._listing.changed(message["list"])
        elif kind == "menu":
            self._menu_of = (message["column"], str(message.get("text", ""))) if message["column"] else None
        elif kind == "table":
            self._table_open = bool(message["open"])
        return (kind,)

    def _take(self, message: dict[str, Any]) -> None:
        chosen = dict(message["select"])
        for name, edge in zip(("start", "end"), chosen.pop("span", ()), strict=False):
            chosen[name] = None if edge is None else pd.Timestamp(int(edge), unit="ms", tz="UTC")
        if chosen.pop("reset", False):
            chosen |= {name: [] for name, _ in self.selection.filters}
        labels = {name: values or [] for name, values in chosen.pop("filters", {}).items()}
        self.select(**chosen, **labels)

    def _pick(self, message: dict[str, Any]) -> None:
        """Filter by what was clicked; a second click undoes it. A job is opened."""
        pick = [(str(name), value) for name, value in message["pick"]]
        known = (*self._sources.columns, *CALENDAR)
        if job_ids := [value for name, value in pick if name == "job_id"]:
            self.open_job(job_ids[0])
        pick = [(name, None if value is None else str(value)) for name, value in pick if name in known]
        there = all(self.selection.labels_of(name) == (value,) for name, value in pick)
        chosen = self.selection
        for name, value in pick:
            chosen = chosen.with_labels(name, () if there else (value,))
        self._choose(chosen)

    def _ask(self, message: dict[str, Any]) -> None:
        """Ask for the whole answer about a job, in a thread: the service may take its time."""
        job_id = str(message["job_id"])

        def ask() -> None:
            try:
                answer = cosai_nb.describe_job(job_id, client=self._client, deadline=_DEADLINE_S)
                text = json.dumps(answer, ensure_ascii=False, indent=2, default=str)
            except CosaiError as error:
                text = str(error)
            self.send({"kind": "answer", "job_id": job_id, "text": text})

        if self._client is not None:
            Thread(target=ask, daemon=True).start()

    # --- without a page ---

    def __repr__(self) -> str:
        return f"Explorer: {self.sentence}"

    @axes.without_tex
    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live widget, and for exports, where no kernel answers, the last figure and sentence."""
        live = super()._repr_mimebundle_(**kwargs)
        bundle: dict[str, Any] = dict((live[0] if isinstance(live, tuple) else live) or {})
        bundle["text/plain"] = repr(self)
        if self._ax is not None:
            drawn = png(self._ax.figure, dpi=_DPI)  # type: ignore[arg-type]
            bundle["image/png"] = base64.b64encode(drawn).decode("ascii")
        return bundle, {"image/png": {"alt": self.sentence}}


def _cell(value: Any, tz: str) -> str:
    if isinstance(value, pd.Timestamp) and value.tzinfo is not None and not pd.isna(value):
        return f"{when(value, tz)}:{value:%S} ({tz})"
    if isinstance(value, float | np.floating) and not pd.isna(value):
        return f"{value:,.10g}"
    if isinstance(value, list | tuple | dict | set | np.ndarray):
        return printable(str(value), longest=2000)
    return UNKNOWN if pd.isna(value) else printable(value, longest=2000)
