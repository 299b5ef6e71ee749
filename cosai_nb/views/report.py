"""``write_report``: a frame of jobs as one HTML file that opens offline, prints, and asks for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from cosai_nb import arguments
from cosai_nb.errors import FrameError
from cosai_nb.schema import NOT_A_JOB
from cosai_nb.views.answers import Answers, ask
from cosai_nb.views.headlines import Headline, headlines
from cosai_nb.views.page import render, write_page
from cosai_nb.views.plots.style import without_tex, zone_name
from cosai_nb.views.report_durations import durations
from cosai_nb.views.report_figures import panels
from cosai_nb.views.report_tables import error_list, failed_list, slowest_list, summary
from cosai_nb.views.wording import (
    between,
    count,
    duration,
    is_projected,
    jobs_in_words,
    label,
    printable,
    share,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo
    from pathlib import Path

TITLE = "Queue latency and failures of AI jobs"


class Card(NamedTuple):
    """A number that is read at a glance."""

    name: str
    value: str
    small: tuple[str, ...] = ()


def write_report(
    jobs: pd.DataFrame,
    path: str | Path,
    *,
    title: str = TITLE,
    tz: str | tzinfo = "Asia/Shanghai",
    by: str | Sequence[str] | None = "tag",
    slo: str | tuple[float, float] | None = None,
    max_failure_rate: float | str | None = None,
) -> Path:
    """Write one HTML file: the answers in sentences, then tables, figures, single jobs and the method.

    Parameters
    ----------
    jobs : pandas.DataFrame
        One row per job.
    path : str or Path
        The file; it appears when it is whole, and replaces an older one.
    title : str
        Heading.
    tz : str or tzinfo
        Time zone that times are shown in: a name, an offset such as ``"+08:00"``, or a tzinfo.
    by : str or list of str, optional
        Columns to group by.
    slo : str or (float, float), optional
        Duration and target: ``"10m:95%"`` or ``(600, 0.95)`` asks that 95 % of the jobs start within 600 s.
    max_failure_rate : float or str, optional
        Share of the jobs that may fail: 0.01 or ``"1%"``.

    Returns
    -------
    Path
        The file. It needs no network and no other file; a Content-Security-Policy forbids it both.

    Raises
    ------
    TypeError
        ``jobs`` is no frame.
    SettingsError
        No such time zone; ``slo`` is no limit, ``max_failure_rate`` no share, ``path`` no path.
    FileError
        The file cannot be written.

    Notes
    -----
    A frame that lacks a column still gives a page: it says what is missing and shows the rest.

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
    if not isinstance(jobs, pd.DataFrame):
        raise TypeError(
            f"A report is made of a pandas DataFrame (as fetch_jobs returns it), not {type(jobs).__name__}."
        )
    return write_page(
        path, report_html(jobs, title=title, tz=tz, by=by, slo=slo, max_failure_rate=max_failure_rate)
    )


@without_tex
def report_html(
    jobs: pd.DataFrame,
    *,
    title: str,
    tz: str,
    by: str | Sequence[str] | None,
    slo: tuple[float, float] | None,
    max_failure_rate: float | None = None,
) -> str:
    """Return the page that :func:`write_report` writes."""
    page: dict[str, Any] = {"title": printable(title, longest=200)}
    try:
        answers = ask(jobs, by=by, tz=tz)
    except FrameError as error:
        trouble = Headline("The table cannot be read", str(error), "bad")
        return render("report.html.j2", **page | _without(trouble, len(jobs)))
    drawn, groups_hidden = panels(answers)
    full = bool(answers.count)
    page |= {
        "window": _window(answers),
        "headlines": headlines(answers, slo, max_failure_rate),
        "cards": _cards(answers) if full else [],
        "by_text": f"by {' and '.join(map(label, answers.by))}" if answers.by else "of all jobs",
        "summaries": [summary(answers), *durations(answers)] if full else [],
        "panels": drawn,
        "groups_hidden": groups_hidden,
        "errors": error_list(answers) if full else None,
        "slowest": slowest_list(answers) if full else None,
        "failed": failed_list(answers) if full else None,
        "unknown": _unknown(answers),
    }
    return render("report.html.j2", **page, sections=_sections(page))


def _without(trouble: Headline, rows: int) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("cards", "summaries", "panels", "errors", "slowest", "failed"))
    unknown = [f"Everything: the table has {rows:,} rows, and none of them could be counted."]
    page = empty | {
        "window": [],
        "headlines": [trouble],
        "groups_hidden": "",
        "by_text": "",
        "unknown": unknown,
    }
    return page | {"sections": _sections(page)}


def _sections(page: dict[str, Any]) -> list[tuple[str, str]]:
    names = (
        ("summaries", "summary", "Summary"), ("panels", "figures", "Figures"), ("errors", "errors", "What fails"),
        ("slowest", "slowest", "Slowest jobs"), ("failed", "failed", "Failed jobs"),
    )  # fmt: skip
    shown = [(anchor, name) for key, anchor, name in names if page[key]]
    return [*shown, ("method", "How to read this"), ("unknown", "What is not known")]


def _window(answers: Answers) -> list[str]:
    created = answers.jobs["creation_time"]
    told = [jobs_in_words(answers.count)]
    if created.notna().any():
        told.append(f"created {when(created.min(), answers.tz)} to {when(created.max(), answers.tz)}")
    as_of = answers.latency["as_of"].iloc[0]
    told.append(f"as of {when(as_of, answers.tz)}" if not pd.isna(as_of) else "as of an unknown time")
    offset = "" if pd.isna(as_of) else f" (UTC{as_of.tz_convert(answers.tz):%z})"
    spanned = ""
    if answers.span_s > 0:
        spanned = f"The jobs span {duration(answers.span_s)}, from the first creation to the last time seen. "
    return [", ".join(told), f"{spanned}All times are in {printable(answers.tz)}{offset}."]


def _cards(answers: Answers) -> list[Card]:
    latency, run, failures = answers.latency.iloc[0], answers.run.iloc[0], answers.failures.iloc[0]
    outcomes = answers.jobs["outcome"].value_counts()
    rate = "–" if not failures["ended"] else share(failures["rate"])
    interval = (
        f"{share(failures['low'])} to {share(failures['high'])}" if failures["ended"] else "none has ended"
    )
    return [
        Card("Jobs", count(answers.count), (f"{count(failures['ended'])} ended",)),
        Card("Waiting", count(latency["waiting"]), (f"{count(int(outcomes.get('running', 0)))} running",)),
        Card("Queue latency p50", duration(latency["p50"]), _interval(latency, "p50")),
        Card("Queue latency p95", duration(latency["p95"]), _interval(latency, "p95")),
        Card("Run time p95", duration(run["p95"]), _interval(run, "p95")),
        Card("Failure rate", rate, (interval,)),
    ]


def _interval(row: pd.Series[Any], name: str) -> tuple[str, ...]:
    text = between(row[f"{name}_low"], row[f"{name}_high"])
    if is_projected(row, name):
        text = f"projected, {text}".removesuffix(", ")
    return (text,) if text else ()


def _unknown(answers: Answers) -> list[str]:
    jobs = answers.jobs
    told = ["Times have a resolution of 1 second; shorter differences are not seen."]
    reasons = {
        "not_found": ("ID was not found by the service", "IDs were not found by the service"),
        "invalid_id": (
            "value cannot be a job ID and was never sent",
            "values cannot be job IDs and were never sent",
        ),
        "unread": ("ID could not be read; ask for it again", "IDs could not be read; ask for them again"),
    }
    told += [
        f"{number:,} {reasons[name][number > 1]}. {'They are' if number > 1 else 'It is'} in no figure here."
        for name, number in answers.left_out.items()
    ]
    if answers.lacking:
        told.append(
            f"The table lacks the columns {', '.join(map(label, answers.lacking))}; what they would tell is shown as missing."
        )
    real = ~jobs["outcome"].isin([str(outcome) for outcome in NOT_A_JOB])
    believed = jobs["timing_ok"].astype(bool)
    if (real & ~believed).any():
        told.append(
            f"Of {jobs_in_words(int((real & ~believed).sum()))} the times are missing, reversed, malformed or later than the moment of being seen: counted as jobs, and in those durations that their times give."
        )
    strange = int((jobs["outcome"] == "unknown").sum())
    if strange:
        told.append(f"{jobs_in_words(strange)} in a state that no document lists: counted as unfinished.")
    told.append("Whether a job that still waits will start, and whether one that still runs will fail.")
    return told
