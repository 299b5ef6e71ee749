"""Arithmetic of windows: what is still to be listed, and what is known for good."""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, datetime
from typing import TYPE_CHECKING

from cosai_nb.errors import SettingsError
from cosai_nb.service.spans import SERVICE_ZONE, Window

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_YEAR, _LAST_YEAR = 1970, 9998  # a bound of year 1 or 9999 has no neighbour, or none in another zone
BLOCK_S = 3600
SETTLED_AFTER_S = 60
"""How long after its end a window may still gain jobs: listing services are rarely up to date to the second."""


def window_of(start: str | date, end: str | date) -> Window:
    """Return the window from ``start`` to before ``end``.

    Parameters
    ----------
    start, end : str, date or datetime
        Texts and dates without a zone are in the service's own time (+0800); a datetime needs a zone.

    Raises
    ------
    SettingsError
        Where one is no time, has no zone or is before 1970, or the end is not after the start.

    Examples
    --------
    >>> window_of("1970-01-02", "1970-01-02T00:00:01Z")
    Window(start=57600, end=86401)
    """
    window = Window(_seconds("start", start), _seconds("end", end))
    if window.end <= window.start:
        raise SettingsError(f"end={end!s} is not after start={start!s}: the window holds no time.")
    return window


def merged(windows: Iterable[tuple[int, int]]) -> list[Window]:
    """Join windows that touch or overlap.

    Examples
    --------
    >>> merged([(5, 7), (1, 3), (3, 4)])
    [Window(start=1, end=4), Window(start=5, end=7)]
    """
    joined: list[Window] = []
    for start, end in sorted(windows):
        if joined and start <= joined[-1].end:
            joined[-1] = Window(joined[-1].start, max(end, joined[-1].end))
        else:
            joined.append(Window(start, end))
    return joined


def gaps(window: Window, known: Iterable[tuple[int, int]]) -> list[Window]:
    """Return what of a window is not known.

    Examples
    --------
    >>> gaps(Window(0, 10), [(2, 4), (8, 12)])
    [Window(start=0, end=2), Window(start=4, end=8)]
    """
    missing, reached = [], window.start
    for start, end in merged(known):
        if reached < min(start, window.end):
            missing.append(Window(reached, min(start, window.end)))
        reached = max(reached, end)
    if reached < window.end:
        missing.append(Window(reached, window.end))
    return missing


def settled(
    read: Iterable[tuple[int, int]], *, unfinished: Iterable[int | None], asked_ms: int
) -> list[Window]:
    """Return the hours of the windows read in which nothing can change any more; each by itself, also where they touch.

    Parameters
    ----------
    read : iterable of (start, end)
        Windows read to their end.
    unfinished : iterable of int or None
        Creation times (seconds since the epoch) of jobs that have not ended; None keeps everything open.
    asked_ms : int
        When the first page was answered, in milliseconds since the epoch.

    Examples
    --------
    >>> settled([(0, 9000)], unfinished=[4000], asked_ms=10_000_000)
    [Window(start=0, end=3600), Window(start=7200, end=9000)]
    >>> settled([(0, 9000)], unfinished=[], asked_ms=5_000_000)
    [Window(start=0, end=3600), Window(start=3600, end=4940)]
    """
    open_since = list(unfinished)
    if None in open_since:
        return []
    open_blocks = {moment // BLOCK_S for moment in open_since if moment is not None}
    past = asked_ms // 1000 - SETTLED_AFTER_S
    blocks = []
    for start, end in merged(read):
        last = min(end, past)
        for block in range(start // BLOCK_S, -(-last // BLOCK_S)):
            piece = Window(max(start, block * BLOCK_S), min(last, (block + 1) * BLOCK_S))
            if block not in open_blocks and piece.start < piece.end:
                blocks.append(piece)
    return blocks


def counts(windows: Iterable[tuple[int, int]], created: Iterable[float]) -> list[int]:
    """Return how many of some creation times lie in each window.

    Examples
    --------
    >>> counts([(0, 10), (5, 20)], [19.5, 5, 5, 0])
    [3, 3]
    """
    times = sorted(created)
    return [bisect_left(times, end) - bisect_left(times, start) for start, end in windows]


def _seconds(name: str, moment: str | date) -> int:
    """Return whole seconds since the epoch, rounded up: creation times have no fractions."""
    try:
        when = datetime.fromisoformat(moment.isoformat() if isinstance(moment, date) else moment)
    except (ValueError, TypeError):
        raise SettingsError(
            f"{name}={moment!r} is no time: write it as '2026-11-01' or '2026-11-01T08:00:00+0800'."
        ) from None
    if when.tzinfo is None and isinstance(moment, datetime):
        raise SettingsError(
            f"{name}={moment!r} has no time zone: write {name}={moment.isoformat()!r} as a text for the service's time "
            "(+0800), or give the datetime a tzinfo."
        )
    when = when if when.tzinfo else when.replace(tzinfo=SERVICE_ZONE)
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        raise SettingsError(
            f"{name}={moment!s} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}: no job was created then."
        )
    return -int(-when.timestamp() // 1)
