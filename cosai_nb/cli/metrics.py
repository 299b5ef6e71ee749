"""What a store holds as OpenMetrics: scraped on 127.0.0.1, or written to a file for node_exporter.

The store is counted in one pass when its files have changed, never for a scrape, and each number is that of the public function
that answers the same question: ``waiting`` and ``running`` are :func:`cosai_nb.backlog`'s, the oldest age is
:func:`cosai_nb.queue_alarms`', the projected p95 :func:`cosai_nb.queue_latency`'s, the failure ratio
:func:`cosai_nb.failure_rates`'. The last two are of the jobs created in the last hours, with the queues judged by all jobs, as
the explorer judges a selection. What is not known has no sample.

A queue keeps its place for as long as the command runs, with a name of its own or in ``other``: where it changed places,
counters would go back, and Prometheus would take that for a restart.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

import cosai_nb as cn
from cosai_nb import cli
from cosai_nb.errors import CosaiError, FileError
from cosai_nb.schema import ENDED as ENDED_OUTCOMES
from cosai_nb.schema import UNFINISHED, Outcome
from cosai_nb.stats.counts import HOUR, RECENT_MS, Counted, Groups, class_codes, count_all
from cosai_nb.stats.histogram import choose
from cosai_nb.stats.latency import Behind, latency_of
from cosai_nb.stats.measures import ENDED
from cosai_nb.stats.order import Jobs
from cosai_nb.stats.projection import project
from cosai_nb.table.files import check_folder, write_whole
from cosai_nb.views.wording import NO_LABEL

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from prometheus_client.core import Metric

BOUNDS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
"""Upper bounds of the buckets of both histograms [s]; what is beyond is in +Inf."""
OTHER = "other"
"""The label of all queues, tags or codes beyond the most that have labels of their own."""
_BUCKETS = [*(str(float(bound)) for bound in BOUNDS_S), "+Inf"]
_LABELS = ("queue", "tag")
_PAIR = ("queue_id", "tag")
_KEYS = {"queue": "queue_id", "tag": "tag", "code": "code"}
_IDLE = 4.0  # a store that is counted for a second is left alone for four: one processor has other work


class Metrics:
    """The collector of a store: what was counted last, whoever asks.

    Parameters
    ----------
    store : JobStore
        Whose jobs to count.
    last_s : float
        The projected p95 and the failure ratio are of the jobs created since the full hour that is so long before the newest
        observation [s].
    most : int
        How many queues, tags and codes have a label of their own, those with the most jobs when they are first seen.
    """

    def __init__(self, store: cn.JobStore, *, last_s: float, most: int) -> None:
        self._store, self._last_s, self._most = store, last_s, most
        self._own: dict[str, dict[Any, bool]] = {name: {} for name in _KEYS}
        self._files: set[Path] | None = None
        self._families: list[Metric] = []
        self._ready = threading.Event()
        self._flaw = ""
        self._told_of_other = False
        self.jobs, self.counts, self.scrapes, self.took_s = 0, 0, 0, 0.0
        self.as_of: Any = pd.NaT

    def collect(self) -> list[Metric]:
        """Return the newest whole state; before there is one, wait for it."""
        self._ready.wait()
        self.scrapes += 1
        said = "1 where the newest state of the store could be counted, 0 where these numbers are older"
        return [*self._families, GaugeMetricFamily("cosai_store_readable", said, float(not self._flaw))]

    def refresh(self) -> None:
        """Count the store where its files have changed; where it cannot be read later on, what was counted stays.

        Raises
        ------
        CosaiError
            Where the store cannot be counted and never could.
        """
        files = {*self._store.folder.glob("*.parquet"), *self._store.folder.glob("_queues/*.json")}
        if files == self._files:
            return
        began = time.monotonic()
        try:
            (families, self.as_of, self.jobs), _ = cli.ask_aloud(self._count)
        except CosaiError as error:
            if self._files is None:
                raise
            if str(error) != self._flaw:
                cli.tell(f"{error} The numbers stay as they were.")
            self._flaw = str(error)
            return
        self._families, self._files, self._flaw = families, files, ""
        self.took_s, self.counts = time.monotonic() - began, self.counts + 1
        self._ready.set()

    def _count(self) -> tuple[list[Metric], Any, int]:
        single = (*_PAIR, "outcome", "code")
        wanted = {"jobs": single, "queue_latency": _PAIR, "run_time": single}
        counted = count_all(self._store, wanted, recent_ms=RECENT_MS)
        table = counted.tables["jobs"]
        failed = table[(table["outcome"] == str(Outcome.FAILED)).to_numpy()]
        texts = {name: self._texts(name, failed if name == "code" else table) for name in _KEYS}
        number = [*texts["queue"].values()].count(OTHER)
        if number and not self._told_of_other:
            self._told_of_other = True
            cli.tell(
                f"{number:,} of {len(texts['queue']):,} queues are counted together as queue={OTHER!r}: those with the fewest "
                "jobs; --most N gives more of them their own label."
            )
        families: list[Metric] = []
        if not pd.isna(counted.as_of):
            families = _numbers(_relabelled(counted, texts), self._last_s)
        folded = {name: len(self._own[name]) - sum(self._own[name].values()) for name in _KEYS}
        said = f"How many queues, tags and codes have no label of their own and are counted as {OTHER!r}"
        families.append(_family(GaugeMetricFamily, "cosai_folded_labels", said, ["label"], pd.Series(folded)))
        return families, counted.as_of, int(table["jobs"].sum())

    def _texts(self, name: str, table: pd.DataFrame) -> dict[Any, str]:
        """Return the label that each queue (by its ID), tag or code is shown with; None stands for a missing one."""
        groups = Groups.of(table, (_KEYS[name],))
        labels, own = [label for (label,) in groups.plain_labels], self._own[name]
        room = self._most - sum(own.values())
        for place in np.argsort(-groups.sum(table["jobs"]), kind="stable"):
            if labels[place] not in own:
                own[labels[place]] = room > 0
                room -= 1
        names = self._store.queue_names if name == "queue" else {}
        texts = {label: NO_LABEL if label is None else names.get(label, label) for label in labels}
        times = Counter([*texts.values(), OTHER])
        return {
            label: OTHER if not own[label] else text if times[text] == 1 else f"{text} ({label})"
            for label, text in texts.items()
        }


def _relabelled(counted: Counted, texts: dict[str, dict[Any, str]]) -> Counted:
    """Return the same counts with the key ``queue``, and with tags and codes as they are shown."""

    def shown(table: pd.DataFrame) -> pd.DataFrame:
        columns = {}
        for name in [name for name, key in _KEYS.items() if key in table.columns]:
            column = table[_KEYS[name]].astype("category")
            known = [texts[name].get(label) for label in [*column.cat.categories, None]]
            distinct = pd.Index([text for text in dict.fromkeys(known) if text is not None], dtype=object)
            columns[name] = pd.Categorical.from_codes(
                distinct.get_indexer(pd.Index(known, dtype=object))[column.cat.codes], distinct
            )
        return table.assign(**columns)

    assert counted.recent is not None  # noqa: S101 - of a store there are single jobs
    tables = {name: shown(table) for name, table in counted.tables.items()}
    return replace(counted, tables=tables, recent=shown(counted.recent))


def _numbers(counted: Counted, last_s: float) -> list[Metric]:
    """Return what is told of the jobs of a store: of all, of those that are open now, of those created in the last hours."""
    table, recent = counted.tables["jobs"], counted.recent
    assert recent is not None  # noqa: S101 - see above
    groups, number = Groups.of(table, _LABELS), table["jobs"].to_numpy()
    # an outcome that no job has had is 0: Prometheus sees it grow from there
    ended = pd.concat(
        {
            str(one): pd.Series(groups.sum(number, (table["outcome"] == str(one)).to_numpy()), groups.rows)
            for one in sorted(ENDED_OUTCOMES)
        }
    ).reorder_levels([1, 2, 0])
    failed = table[(table["outcome"] == str(Outcome.FAILED)).to_numpy()]
    codes = Groups.of(failed, (*_LABELS, "code"))

    waiting, running, oldest, crowded = _now(recent, groups)
    start = (counted.as_of - pd.Timedelta(seconds=last_s)).floor("h")
    part, rows = choose(counted, {}, start=start), (crowded[HOUR] >= start).to_numpy()
    part.recent = crowded[rows].reset_index(drop=True)
    latency = latency_of(part, Behind({}, project(crowded).of_rows(rows)), _LABELS, (0.95,), intervals=False)
    those = f"of the jobs created in the last {last_s / 3600:g} h, unfinished ones counted in"
    return [
        _histogram(counted, groups, "queue_latency", "Time from creation to start of the jobs that have started; those that "
                   "wait are in cosai_jobs_waiting, and in cosai_queue_latency_p95_seconds"),
        _histogram(counted, groups, "run_time", "Time from start to end of the jobs that have ended"),
        _family(CounterMetricFamily, "cosai_jobs_submitted", "Jobs, ended or not", _LABELS,
                pd.Series(groups.sum(number), groups.rows)),
        _family(CounterMetricFamily, "cosai_jobs_ended", "Jobs that have ended", [*_LABELS, "outcome"], ended),
        _family(CounterMetricFamily, "cosai_jobs_failed", "Jobs that have failed, by the code they failed with",
                [*_LABELS, "code"], pd.Series(codes.sum(failed["jobs"]), codes.rows)),
        _family(GaugeMetricFamily, "cosai_jobs_waiting", "Jobs that have not started", _LABELS, waiting),
        _family(GaugeMetricFamily, "cosai_jobs_running", "Jobs that have started and not ended", _LABELS, running),
        _family(GaugeMetricFamily, "cosai_oldest_waiting_age_seconds",
                "Age of the oldest job that waits in a queue, 0 where none does", ["queue"], oldest),
        _family(GaugeMetricFamily, "cosai_queue_latency_p95_seconds",
                f"Projected p95 of the queue latency {those}; +Inf where it is not reached", _LABELS, latency["p95"]),
        _family(GaugeMetricFamily, "cosai_queue_latency_p95_lower_bound_seconds",
                f"What the p95 of the queue latency is at least, {those} by their age", _LABELS,
                latency["p95_lower_bound"]),
        _family(GaugeMetricFamily, "cosai_failure_ratio", f"Failure rate {those}; none where it is not known", _LABELS,
                cn.failure_rates(part, by=_LABELS)["rate"]),
        GaugeMetricFamily("cosai_as_of_timestamp_seconds", "When the newest of these observations was made",
                          counted.as_of.timestamp()),
    ]  # fmt: skip


def _now(recent: pd.DataFrame, groups: Groups) -> tuple[pd.Series, pd.Series, pd.Series, pd.DataFrame]:
    """Return the jobs that wait and that run, the oldest age by queue, and the jobs of the queues in which one waits."""
    jobs = Jobs.of(recent)
    running = jobs.begun & recent["outcome"].isin([str(one) for one in UNFINISHED]).to_numpy()
    opened = np.flatnonzero(jobs.waiting | running)
    of_open = groups._replace(of_row=groups.place(recent.iloc[opened]))
    numbers = (pd.Series(of_open.sum(those[opened]), groups.rows) for those in (jobs.waiting, running))
    # a queue is as it was at the earliest observation of a job that waits in it; where none waits there is nothing to project
    seen = pd.Series(np.where(jobs.waiting, jobs.seen, np.nan), recent.index)
    at = seen.groupby(recent["queue_id"], dropna=False, observed=True).transform("min").to_numpy()
    ahead = jobs.in_queue & (jobs.created <= at) & (jobs.moved > at)
    age = pd.Series(at - jobs.created)[ahead]
    oldest = age.groupby(recent["queue"].to_numpy(dtype=object)[ahead]).max()
    oldest = oldest.reindex(groups.labels[0].unique(), fill_value=0.0)
    return *numbers, oldest, recent[~np.isnan(at)].reset_index(drop=True)


def _family(kind: Any, name: str, said: str, labels: Sequence[str], values: pd.Series[Any]) -> Metric:
    """Return a metric with a sample for each row of a series that is known."""
    family: Metric = kind(name, said, labels=labels)
    for label, value in values.dropna().items():
        family.add_metric(label if isinstance(label, tuple) else (label,), float(value))  # type: ignore[attr-defined]  # each kind has it
    return family


def _histogram(counted: Counted, groups: Groups, measure: str, said: str) -> Metric:
    """Return the durations that are over, of every group: one without any has zeros, from which Prometheus sees it grow."""
    table = counted.tables[measure]
    over = table[class_codes(table) == ENDED]
    seconds, jobs, of_row = over["seconds"].to_numpy(), over["jobs"].to_numpy(), groups.place(over)
    width = len(_BUCKETS)
    cells = np.bincount(of_row * width + np.searchsorted(BOUNDS_S, seconds), jobs, groups.number * width)
    sums = np.bincount(of_row, seconds * jobs, groups.number)
    family = HistogramMetricFamily(f"cosai_{measure}_seconds", said, labels=_LABELS)
    counts = cells.reshape(-1, width).cumsum(axis=1)
    for labels, up_to, total in zip(groups.plain_labels, counts, sums, strict=True):
        family.add_metric(labels, list(zip(_BUCKETS, up_to, strict=True)), total)
    return family


# --- the command ---


def run(args: argparse.Namespace) -> int:
    """Serve or write the numbers of a store until a signal ends it, or write them once."""
    metrics = Metrics(cn.JobStore(args.store), last_s=args.last, most=args.most)
    registry = CollectorRegistry()
    registry.register(metrics)
    if args.textfile is not None:
        check_folder(args.textfile)
        return _write(metrics, registry, args)
    try:
        server, thread = start_http_server(args.port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        args.wrong(f"--port {args.port} cannot be had ({error}); name another, or 0 for any free one")
    try:
        if not args.quiet:
            cli.show_message(
                f"Metrics of {args.store} on http://127.0.0.1:{server.server_port}/metrics until Ctrl-C."
            )
        _repeat(metrics, args, lambda: None)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    return _ended(metrics, args, f"scrapes answered: {metrics.scrapes:,}")


def _write(metrics: Metrics, registry: CollectorRegistry, args: argparse.Namespace) -> int:
    """Write the file once, or again and again."""
    written = flaws = 0

    def write() -> None:
        nonlocal written, flaws
        try:
            write_whole(args.textfile, lambda file: file.write(generate_latest(registry)))
            written, flaws = written + 1, 0
        except OSError as error:
            flaw = f"{args.textfile} cannot be written ({error.strerror or error})"
            if args.every is None:
                raise FileError(f"{flaw}.") from error
            if not flaws:
                cli.tell(f"{flaw}; it is tried again every {args.every:g} s.")
            flaws += 1

    if args.every is not None:
        _repeat(metrics, args, write)
        return _ended(metrics, args, f"{args.textfile} written, times: {written:,}")
    metrics.refresh()
    write()
    _ended(metrics, args, f"{args.textfile} written")
    if not metrics.jobs:
        cli.tell(f"the store {args.store} holds no job yet.")
    return cli.DONE if metrics.jobs else cli.NOT_ENOUGH_DATA


def _repeat(metrics: Metrics, args: argparse.Namespace, then: Any) -> None:
    """Look at the store again and again, until a signal comes."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            counts = metrics.counts
            metrics.refresh()
            if metrics.counts > counts == 0 and not args.quiet:
                held = f"{metrics.jobs:,} jobs" if metrics.jobs else "no job yet"
                cli.show_message(f"{args.store} holds {held}, counted in {metrics.took_s:.1f} s.")
            then()
            time.sleep(max(args.every or 10.0, _IDLE * metrics.took_s))


def _ended(metrics: Metrics, args: argparse.Namespace, did: str) -> int:
    if not args.quiet:
        as_of = "" if pd.isna(metrics.as_of) else f" as of {metrics.as_of.isoformat()}"
        cli.show_message(f"{did}; counts of the store: {metrics.counts:,}; jobs: {metrics.jobs:,}{as_of}.")
    return cli.DONE
