"""Do enough jobs start in time? The share that does, what it is at least and at most, and how fast the budget burns."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from cosai_nb.arguments import duration, share, zone
from cosai_nb.errors import SettingsError
from cosai_nb.schema import Outcome
from cosai_nb.stats.counts import RECENT_MS, Groups, class_codes, count, hours_of, unusable_of
from cosai_nb.stats.intervals import FEW_HOURS, MIN_HOURS, Sample, share_that_ends
from cosai_nb.stats.measures import (
    ENDED,
    GAVE_UP,
    HOUR_MS,
    TIME,
    UNFINISHED,
    UNUSABLE,
    Windows,
    group_columns,
    milliseconds,
)
from cosai_nb.stats.projection import CUT, project
from cosai_nb.stats.short_table import read_first
from cosai_nb.stats.survival import ROUNDING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta, tzinfo

    from cosai_nb.stats.counts import Counted
    from cosai_nb.stats.measures import Flags, Floats, Ints

MOST_OPEN = 0.02
"""Above this share of jobs that may go either way (open, and no place in a queue tells of them, or with unusable times) there is
no share: it could be off by as much."""
BURNS = {
    "1h": (HOUR_MS, HOUR_MS // 12, 14.4),
    "6h": (6 * HOUR_MS, HOUR_MS // 2, 6.0),
    "3d": (72 * HOUR_MS, 6 * HOUR_MS, 1.0),
}
"""Long window, short window [ms] and burn rate of the alarms of SRE practice, for a budget of 30 days: 2 % of it spent in an
hour, 5 % in six, 10 % in three days; the short window ends the alarm soon after the trouble has ended."""
_READ_FIRST = ["jobs", "on_time", "late", "open", "share", "low", "high", "verdict", "burn_rate", "note"]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN = re.compile(
    r"(?:([A-Za-z]{3}(?:[-,][A-Za-z]{3})*)\s+)?([01]?[0-9]|2[0-3]):([0-5][0-9])\s*[-–]\s*([01]?[0-9]|2[0-4]):([0-5][0-9])"
)
_MINUTES, _QUARTER = 1440, 15
_MET = {"met": True, "missed": False, "undecided": "undecided", "no data": "undecided"}


class _Kept(NamedTuple):
    """Rows of the counts, or numbers of jobs: every job is in one of these."""

    on_time: Any
    late: Any
    open: Any
    gave_up: Any
    unusable: Any


def check_slo(
    jobs: Any,
    *,
    threshold_s: float | str | timedelta,
    target: float | str,
    by: str | Sequence[str] | None = None,
    hours: str | None = None,
    tz: str | tzinfo = "Asia/Shanghai",
    detail: bool = False,
) -> pd.DataFrame:
    """Return whether at least ``target`` of the jobs have a queue latency of at most ``threshold_s``.

    Parameters
    ----------
    jobs : pandas.DataFrame, path, JobStore or DurationHistogram
        One row per job, or their histogram.
    threshold_s : float, str or timedelta
        The longest queue latency that is in time: seconds, or a duration such as ``"10m"``.
    target : float or str
        The share of jobs that shall be in time, above 0 and at most 1, such as 0.95 or ``"95%"``.
    by : str or list of str, optional
        Columns (keys of the histogram) to group by.
    hours : str, optional
        Business hours: only jobs that were created in them count. Days and times of the day, such as ``"Mon-Fri 09:00-18:00"``,
        ``"Mon,Wed,Sat-Sun 22:00-06:00"`` (a night belongs to the day that it begins on) or ``"09:00-18:00"`` (every day), in
        quarters of an hour; a histogram knows full hours.
    tz : str or tzinfo
        The zone of ``hours``.
    detail : bool
        Return all columns, in the order of the table below.

    Returns
    -------
    pandas.DataFrame
        One row per group (index: its labels, ``all`` without ``by``), a missing label being a group. Columns:
        ``jobs, on_time, late, open, share, low, high, verdict, burn_rate, note``, and with ``detail``:

        ========================= ================================================================
        jobs                      number of jobs: the sum of the next five
        on_time, late             started within the threshold; started later, or waited longer than that without a start
        open                      wait, and not longer than the threshold yet: may go either way
        gave_up                   left the queue without a start (cancelled, most of them) within the threshold: nothing was owed
                                  to them yet, so they are in no share, as a cancelled job is in no failure rate
        unusable                  times are missing or reversed: not in ``share``, and either way in its bounds
        share                     share on time, open jobs at their projected wait where their queue is served in order; NaN
                                  where more than 2 % hangs on open jobs of other queues and on unusable times
        low, high                 its 95 % interval: the wider of Wilson's and that of the hours, and the bounds in it where
                                  there is no share; (0, 1) without jobs
        share_lower_bound         what it will be at least: all that may go either way are late
        share_upper_bound         what it will be at most: all that may go either way are on time
        met                       True where the lower bound reaches the target, False where the upper one does not, otherwise
                                  the text ``undecided``: compare (``met == True``), because a text counts as true in an ``if``
        verdict                   the same in words: ``met``, ``missed``, ``undecided``, or ``no data``
        burn_rate                 (1 − share) ÷ (1 − target): 1 spends the error budget exactly, 2 twice; with a target of 1
                                  there is no budget: 0 where nothing is late, else ``inf``
        threshold_s, …            threshold and target, as asked
        blocks                    hours in which jobs were created; below 14 the interval is Wilson's alone
        as_of                     newest observed_at
        note                      what to bear in mind
        long_run                  how sure other weeks of the same queue are: ``met`` or ``missed`` where the whole interval lies
                                  on that side of the target, else ``not shown``
        not_read                  IDs that were not read or not found, of any group: either way in the bounds of every group
        burn_1h, burn_6h, burn_3d burn rate of the jobs that started, or became late, in the hour, the six hours and the three
                                  days before ``as_of``; NaN where there are none. Three days, and all from a histogram, which
                                  does not know the two shorter, by the hour of creation
        jobs_1h, jobs_6h, jobs_3d number of these jobs
        burn_alarm                the shortest of these windows in which the budget burns at 14.4, 6, 1 times its rate or more,
                                  and still does in its last 5 min, 30 min, 6 h; empty where none does
        ========================= ================================================================

        ``attrs["left_out"]`` counts the rows that are no jobs.

    Raises
    ------
    TypeError, FrameError, FileError
        ``jobs`` is no source of jobs, lacks a column, or cannot be read.
    SettingsError
        ``threshold_s`` is no time, ``target`` no share, ``hours`` no hours, or ``tz`` no zone.

    Notes
    -----
    An SLO is a promise about these very jobs, so ``met`` follows from the bounds, which hold whatever becomes of the open ones;
    the interval does not touch it. The interval tells what other weeks of the same queue would show (``long_run``): where the
    target lies in it, ``note`` says that another week could end otherwise. ``cosai-nb check`` and the report judge by ``verdict``.

    The burn rates and their alarms are those of the SRE workbook's chapter on alerting; jobs are counted when they are decided,
    so the newest windows hold no open ones.

    Examples
    --------
    >>> import pandas as pd
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Submitted"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": ["2026-11-01T10:00:07+0800", "-"], "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> jobs = cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z")
    >>> cn.check_slo(jobs, threshold_s=30, target=0.9)[["on_time", "late", "share", "verdict", "burn_rate"]]
         on_time  late  share verdict  burn_rate
    all        1     1    0.5  missed        5.0
    """
    longest, goal = duration(threshold_s, "threshold_s"), share(target, "target", above_0=True)
    names, open_hours = group_columns(by), None if hours is None else _Hours.of(hours, tz)
    keys, windows = (names, None) if open_hours is None else ((*names, TIME), open_hours.windows)
    counted = count(jobs, keys, "queue_latency", windows=windows, recent_ms=max(RECENT_MS, BURNS["6h"][0]))
    table, recent = counted.table, counted.recent
    if open_hours is not None:
        table = table[open_hours.hold(table[TIME])]
        recent = None if recent is None or recent.empty else recent[open_hours.hold(recent[TIME])]
    groups = Groups.of(table, names)
    seconds, number, kind = table["seconds"].to_numpy(), table["jobs"].to_numpy(), class_codes(table)
    beyond = seconds > longest
    rows = _Kept(
        on_time=(kind == ENDED) & ~beyond,
        late=(kind <= GAVE_UP) & beyond,
        open=(kind == UNFINISHED) & ~beyond,
        gave_up=(kind == GAVE_UP) & ~beyond,
        unusable=kind == UNUSABLE,
    )
    kept = _Kept(*(groups.sum(number, chosen) for chosen in rows))
    _, lost = unusable_of(groups, table)
    known = np.flatnonzero(rows.on_time | rows.late | rows.open)
    group, hour, second = groups.of_row[known], hours_of(table)[known], seconds[known]
    ended, of_jobs = ~rows.open[known], number[known]
    told_open, cut = np.zeros((2, groups.number), dtype=np.int64)
    if counted.recent is not None and len(counted.recent) and recent is not None:
        plan = project(counted.recent).of_rows(counted.recent.index.get_indexer(recent.index))
        cut = np.bincount(groups.place(recent)[plan.cut], minlength=groups.number)
        # open jobs whose queue is served in order, and the seconds that each will wait on
        may = (recent["kind"].to_numpy() == UNFINISHED) & (recent["seconds"].to_numpy() <= longest)
        projected = np.flatnonzero(may & (plan.ahead >= 0))
        single, waits_on = recent.iloc[projected], plan.ahead[projected]
        of_single, one = groups.place(single), np.ones(len(single), dtype=np.int64)
        told_open = np.bincount(of_single, minlength=groups.number)
        age, at = single["seconds"].to_numpy(), hours_of(single)
        # each leaves the place where it was censored, and ends at its projected wait
        group, hour = np.concatenate((group, of_single, of_single)), np.concatenate((hour, at, at))
        second = np.concatenate((second, age, age + waits_on))
        ended = np.concatenate((ended, one < 1, one > 0))
        of_jobs = np.concatenate((of_jobs, -one, one))
    after = math.floor(longest) + 1  # how late is late plays no part: they share one second
    sample = Sample.of(groups.number, group, hour, np.minimum(second, after), ended, of_jobs)
    found = share_that_ends(sample, ended & (second <= longest))
    not_read = sum(counted.left_out.get(str(outcome), 0) for outcome in (Outcome.UNREAD, Outcome.NOT_FOUND))
    lower, upper = _bounds(kept, not_read)
    either_way = kept.open - told_open + kept.unusable
    decided = kept.on_time + kept.late + told_open
    known = (decided > 0) & (either_way <= MOST_OPEN * (decided + either_way))
    owed, in_time = ~np.isnan(lower), np.where(known, found.rate, np.nan)
    low = np.where(owed & ~known, np.minimum(found.low, lower), found.low)
    high = np.where(owed & ~known, np.maximum(found.high, upper), found.high)
    verdict = np.select([~owed, lower >= goal, upper < goal], ["no data", "met", "missed"], "undecided")
    long_run = np.select([low >= goal, high < goal], ["met", "missed"], "not shown")
    within = known & (low <= goal) & (goal <= high)
    waits = kept.open - told_open > kept.unusable
    notes = [
        lost,
        np.where(cut > 0, CUT, ""),
        np.select(
            [~owed | known, waits],
            ["", "no share, only bounds: too many jobs have waited less than the threshold so far"],
            "no share, only bounds: too many times are unusable",
        ),
        *_notes(kept, not_read, goal, verdict, within),
        [
            FEW_HOURS[busy] if one and busy < MIN_HOURS else ""
            for one, busy in zip(owed, sample.busy, strict=True)
        ],
    ]
    frame = pd.DataFrame(
        {
            "jobs": groups.sum(number),
            **kept._asdict(),
            "share": in_time,
            "low": low,
            "high": high,
            "share_lower_bound": lower,
            "share_upper_bound": upper,
            "met": np.array([_MET[one] for one in verdict], dtype=object),
            "verdict": pd.array(verdict, dtype="str"),
            "burn_rate": _burn_rate(1 - in_time, goal),
            "threshold_s": longest,
            "target": goal,
            "blocks": sample.busy,
            "as_of": pd.DatetimeIndex([counted.as_of] * groups.number, dtype="datetime64[ms, UTC]"),
            "note": pd.array(
                ["; ".join(filter(None, mine)) for mine in zip(*notes, strict=True)], dtype="str"
            ),
            "long_run": pd.array(long_run, dtype="str"),
            "not_read": not_read,
            **_burn_columns(counted, groups, rows, number, hours_of(table), recent, longest, goal),
        },
        index=groups.rows,
    )
    frame.attrs["left_out"] = counted.left_out
    return frame if detail else read_first(frame, _READ_FIRST)


def _bounds(number: _Kept, not_read: int) -> tuple[Floats, Floats]:
    """Return the share in time if all that may go either way were late, and if all were in time; NaN where no job was owed a start."""
    either_way = number.open + number.unusable
    owed = number.on_time + number.late + either_way
    everybody = np.where(owed > 0, owed + not_read, np.nan)
    return number.on_time / everybody, (number.on_time + either_way + not_read) / everybody


def _notes(number: _Kept, not_read: int, target: float, verdict: Any, within: Flags) -> list[Any]:
    """Say of each group what its verdict hangs on."""

    def decides(changed: _Kept, unread: int) -> Flags:
        lower, upper = _bounds(changed, unread)
        return (lower >= target) | (upper < target)

    owed, met, open_ = verdict != "no data", verdict == "met", verdict == "undecided"
    lower_if_late, _ = _bounds(number._replace(late=number.late + number.gave_up), not_read)
    if_late = met & (number.gave_up > 0) & (lower_if_late < target)
    unread = np.where(owed & (not_read > 0), f"{not_read} IDs unread or not found count as open", "")
    alone = open_ & (not_read > 0) & decides(number, 0)
    by_times = open_ & (number.unusable > 0) & decides(number._replace(unusable=0), not_read)
    return [
        np.where(owed, "", "no job was owed a start"),
        np.where(
            within & ~open_, "the target lies within the interval: another week could end otherwise", ""
        ),
        [
            f"not met if the {jobs} that gave up within the threshold count as late" if one else ""
            for one, jobs in zip(if_late, number.gave_up, strict=True)
        ],
        [
            f"{text}, and alone leave it undecided" if one else text
            for one, text in zip(alone, unread, strict=True)
        ],
        [
            f"undecided only by the {jobs} with unusable times" if one else ""
            for one, jobs in zip(by_times, number.unusable, strict=True)
        ],
    ]


def _burn_rate(missed: Floats, target: float) -> Floats:
    """Return how many times as fast as the target allows its budget is spent; where it allows nothing, ``inf``."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(missed < ROUNDING, 0.0, missed / (1 - target))


# --- how fast the budget burns ---


def _burn_columns(
    counted: Counted,
    groups: Groups,
    rows: _Kept,
    number: Ints,
    hour: Ints,
    recent: pd.DataFrame | None,
    longest: float,
    target: float,
) -> dict[str, Any]:
    """Return burn rates, their numbers of jobs, and the alarm."""
    now = 0 if pd.isna(counted.as_of) else round(counted.as_of.timestamp() * 1000)
    single = None
    if recent is not None and len(recent):
        kind, seconds = recent["kind"].to_numpy(), recent["seconds"].to_numpy()
        late = (kind <= GAVE_UP) & (seconds > longest)
        decided = np.flatnonzero(late | (kind == ENDED))
        when = milliseconds(recent["creation_time"]) + (1000 * np.minimum(seconds, longest)).astype(np.int64)
        single = groups.place(recent)[decided], late[decided], when[decided]

    def burn(width: int) -> tuple[Floats, Ints]:
        """Return the burn rate of each group in the time before now, and of how many jobs."""
        if width > BURNS["6h"][0]:
            newer = hour * HOUR_MS > now - width - HOUR_MS
            bad, jobs = (
                groups.sum(number, chosen & newer) for chosen in (rows.late, rows.late | rows.on_time)
            )
        elif single is None:
            bad = jobs = np.zeros(groups.number, dtype=np.int64)
        else:
            group, late, when = single
            newer = (when > now - width) & (when <= now)
            bad, jobs = (
                np.bincount(group[chosen], minlength=groups.number) for chosen in (newer & late, newer)
            )
        return _burn_rate(np.where(jobs > 0, bad / np.maximum(jobs, 1), np.nan), target), jobs

    long = {name: burn(width) for name, (width, _, _) in BURNS.items()}
    alarm = np.full(groups.number, "", dtype=object)
    for name, (_, short, least) in reversed(BURNS.items()):
        burning = np.minimum(long[name][0], burn(short)[0]) >= least - ROUNDING
        alarm[burning] = name  # the shortest window comes last
    return {
        **{f"burn_{name}": rate for name, (rate, _) in long.items()},
        **{f"jobs_{name}": jobs for name, (_, jobs) in long.items()},
        "burn_alarm": pd.array(alarm, dtype="str"),
    }


# --- business hours ---


class _Hours(NamedTuple):
    """Days of the week (0: Monday) and minutes of the day; a span that ends before it begins goes on into the next day."""

    days: frozenset[int]
    begin: int
    end: int
    tz: tzinfo

    @classmethod
    def of(cls, hours: str, tz: str | tzinfo) -> _Hours:
        found = _SPAN.fullmatch(hours.strip()) if isinstance(hours, str) else None
        days: set[int] = set() if found and found[1] else set(range(7))
        if found and found[1]:
            for part in found[1].lower().split(","):
                first, *last = part.split("-")
                if first not in _DAYS or len(last) > 1 or not set(last) <= set(_DAYS):
                    found = None
                    break
                one = _DAYS.index(first)
                days |= {
                    (one + more) % 7 for more in range((_DAYS.index((last or [first])[0]) - one) % 7 + 1)
                }
        begin, end = (60 * int(found[place]) + int(found[place + 1]) for place in (2, 4)) if found else (1, 1)
        if begin % _QUARTER or end % _QUARTER or begin == end or end > _MINUTES:
            raise SettingsError(
                f"hours={hours!r} must be days and times in quarters of an hour, as in 'Mon-Fri 09:00-18:00'."
            )
        return cls(frozenset(days), begin, end, zone(tz))

    @property
    def windows(self) -> Windows:
        """The widest windows of time that lie in or out of the hours as a whole."""
        width = next(minutes for minutes in (60, 30, 15) if not (self.begin % minutes or self.end % minutes))
        return Windows.of(f"{width}min", self.tz)

    def hold(self, times: pd.Series) -> Flags:
        """Say of each time whether it lies in the hours."""
        local = times.dt.tz_convert(self.tz)
        day, minute = local.dt.day_of_week.to_numpy(), (60 * local.dt.hour + local.dt.minute).to_numpy()
        on = np.isin(day, list(self.days))
        if self.begin < self.end:
            return np.asarray(on & (minute >= self.begin) & (minute < self.end))
        night_of = np.isin((day - 1) % 7, list(self.days))
        return np.asarray((on & (minute >= self.begin)) | (night_of & (minute < self.end)))
