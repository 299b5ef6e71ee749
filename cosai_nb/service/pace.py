"""How fast and how stubbornly to ask: one clock, one retry budget and one rate for all threads.

The figures of the budget are botocore's: 500 tokens, 14 a retry, 5 a retry after throttling, 1 back a success.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

RETRY_AFTER_CAP_S = 60.0
_FORGET_S = 600.0  # longer than any wait of a call: after it, what a call met says nothing of now
_FLOOR = 0.5  # requests a second that throttling never goes below


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests may bring their own.

    Parameters
    ----------
    monotonic, time : callable
        Seconds; the first never jumps back, the second is since the epoch.
    wait : callable
        ``wait(event, seconds)``: sleep, but wake at once when the event is set.
    random : callable
        Uniform in [0, 1).
    """

    monotonic: Callable[[], float] = time.monotonic
    time: Callable[[], float] = time.time
    wait: Callable[[threading.Event, float], object] = threading.Event.wait
    random: Callable[[], float] = random.random

    def backoff(self, attempt: int, *, base: float = 0.2, cap: float = 20.0) -> float:
        """Return seconds of full jitter before retry number ``attempt`` (from 0)."""
        return self.random() * min(base * 2.0 ** min(attempt, 16), cap)


class RetryQuota:
    """A budget of retries that all threads share, so that an outage is not answered with a storm.

    Examples
    --------
    >>> quota = RetryQuota(tokens=20)
    >>> quota.take(throttled=False), quota.take(throttled=False), quota.take(throttled=True)
    (True, False, True)
    """

    def __init__(self, tokens: int = 500) -> None:
        self._capacity = self._tokens = tokens
        self._lock = threading.Lock()

    def take(self, *, throttled: bool) -> bool:
        """Pay for a retry; False where the budget is spent."""
        cost = 5 if throttled else 14
        with self._lock:
            if cost > self._tokens:
                return False
            self._tokens -= cost
            return True

    def give(self) -> None:
        """Return a token after a success."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + 1)


class RateLimiter:
    """Requests a second, for all threads: halved when throttled, creeping back, never above the ceiling.

    Parameters
    ----------
    ceiling : float or None
        Requests a second that the user allows; None asks as fast as the service lets us.
    clock : Clock
        Time.

    Notes
    -----
    Throttling answers come in bursts, one a thread. Only the first within a second halves the rate. Where no rate is
    in force yet, it is half of the pace of the last second. Successes add, in a second, one twentieth of the highest rate
    that was throttled, or of the present rate where that is more: full speed is back about ten seconds after it was
    halved once. Ten minutes without a request forget it all.
    """

    def __init__(self, ceiling: float | None, clock: Clock) -> None:
        self._ceiling = ceiling
        self._clock = clock
        self._rate = ceiling
        self._step = 0.0
        self._next = self._halved = float("-inf")
        self._recent: deque[float] = deque(maxlen=4096)
        self._lock = threading.Lock()

    @property
    def rate(self) -> float | None:
        """Requests a second in force now; None where nothing limits."""
        return self._rate

    def acquire(self, stop: threading.Event) -> None:
        """Wait for this request's turn, or until ``stop`` is set."""
        with self._lock:
            now = self._clock.monotonic()
            if self._recent and now - self._recent[-1] > _FORGET_S:
                self._rate, self._step = self._ceiling, 0.0
            self._recent.append(now)
            if self._rate is None:
                return
            turn = max(now, self._next)
            self._next = turn + 1.0 / self._rate
        if turn > now:
            self._clock.wait(stop, turn - now)

    def throttled(self) -> None:
        """Halve the rate after a 429 or SlowDown."""
        with self._lock:
            now = self._clock.monotonic()
            if now - self._halved < 1.0:
                return
            before = self._rate or self._pace(now)
            self._rate = min(max(before / 2, _FLOOR), self._ceiling or math.inf)
            self._step = max(self._step, before / 20)
            self._halved = now

    def _pace(self, now: float) -> float:
        """Return the requests a second of late; a call that has just begun has a fraction of a second to show."""
        recent = [asked for asked in self._recent if asked > now - 1.0]
        return len(recent) / max(now - recent[0], 0.05) if recent else 1.0

    def succeeded(self) -> None:
        """Let the rate creep back after a success."""
        with self._lock:
            if self._rate is None or not self._step:
                return
            self._rate += max(self._step, self._rate / 20) / self._rate
            self._rate = min(self._rate, self._ceiling or math.inf)


def retry_after(header: str | None, now: float) -> float | None:
    """Read a Retry-After leniently: seconds (floats too) or an HTTP date; nonsense is None; capped at 60 s.

    Examples
    --------
    >>> [retry_after(text, 0.0) for text in ("1.5", "-5", "abc", "86400", "nan", None)]
    [1.5, None, None, 60.0, None, None]
    >>> retry_after("Thu, 01 Jan 1970 00:00:07 GMT", 0.0)
    7.0
    """
    try:
        seconds = float(header or "")
    except ValueError:
        date = http_date(header)
        seconds = math.nan if date is None else date - now
    return min(seconds, RETRY_AFTER_CAP_S) if seconds >= 0 else None


def http_date(header: str | None) -> float | None:
    """Read an HTTP date as seconds since the epoch, None where it is none; without a zone it is UTC.

    Examples
    --------
    >>> [http_date(text) for text in ("Thu, 01 Jan 1970 00:00:07 GMT", "soon", None)]
    [7.0, None, None]
    """
    try:
        date = parsedate_to_datetime(header or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
