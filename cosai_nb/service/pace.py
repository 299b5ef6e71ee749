"""How fast to ask, learnt from the answers: requests a second, requests in flight, and a budget of retries."""

from __future__ import annotations

import math
from collections import deque

_FORGET_S = 600.0  # longer than any wait of a call: after it, what a call met says nothing of now
_FLOOR = 0.5  # requests a second that throttling never goes below


class RetryQuota:
    """A budget of retries, so that an outage is not answered with a storm; the figures are botocore's.

    A retry costs 14 of 500 tokens. A success returns the whole cost of its last retry, or one token. A retry that cannot
    be paid for waits longest.

    Examples
    --------
    >>> quota = RetryQuota(tokens=20)
    >>> quota.take(), quota.take(), quota.give(14), quota.take()
    (14, 0, None, 14)
    """

    COST = 14

    def __init__(self, tokens: int = 500) -> None:
        self._capacity = self._tokens = tokens

    def take(self) -> int:
        """Pay for a retry and return its cost, 0 where the budget is spent."""
        if self._tokens < self.COST:
            return 0
        self._tokens -= self.COST
        return self.COST

    def give(self, paid: int) -> None:
        """Take note of a success whose last retry cost so much."""
        self._tokens = min(self._capacity, self._tokens + (paid or 1))


class Rate:
    """Requests a second: halved when throttled, creeping back, never above the ceiling.

    Parameters
    ----------
    ceiling : float or None
        Requests a second that the user allows; None asks as fast as the service lets us.

    Notes
    -----
    A service may answer SlowDown now and then whatever the rate is. So the rate is halved where more than a tenth of the
    last answers are throttled, once for all that was sent at the old rate, and not again before something comes through:
    where all is throttled, no rate helps. What is halved is the pace of the last second. Successes add, in a second, one
    twentieth of that pace: full speed is back about ten seconds after it was halved once. Beyond it they double the rate
    in a second. Ten minutes without a request forget it all.
    """

    # four throttled answers in a row are more than a tenth of the last 32, one in a hundred hardly ever is
    _OF_LAST, _SHARE = 32, 0.1

    def __init__(self, ceiling: float | None) -> None:
        self._ceiling = self.now = ceiling
        self._throttled, self._before = 0.0, 0.0
        self._next = self._halved = self._began = -math.inf
        self._came_through = True
        self._recent: deque[float] = deque(maxlen=4096)

    def turn(self, now: float) -> float:
        """Return when the next request may be sent."""
        if self.now is None:
            return -math.inf
        if self._recent and now - self._recent[-1] > _FORGET_S:
            self.now, self._throttled = self._ceiling, 0.0
        return self._next

    def sent(self, now: float) -> None:
        """Take note of a request."""
        if not self._recent or now - self._recent[-1] > 1.0:
            self._began = now
        self._recent.append(now)
        if self.now is not None:
            self._next = max(now, self._next) + 1.0 / self.now

    def succeeded(self, sent: float) -> None:
        """Let the rate creep back after a success."""
        self._throttled -= self._throttled / self._OF_LAST
        self._came_through = self._came_through or sent >= self._halved
        if self.now is not None and self.now != self._ceiling:
            self.now += self._before / 20 / self.now if self.now < self._before else min(1.0, self.now)
            self.now = min(self.now, self._ceiling or math.inf)

    def throttled(self, sent: float, now: float) -> bool:
        """Take note of a 429 or SlowDown; return whether they are so many that all should wait."""
        if sent < self._halved:
            return False
        self._throttled += (1.0 - self._throttled) / self._OF_LAST
        if self._throttled <= self._SHARE:
            return False
        if self._came_through and now - self._began >= 1.0:  # the first second shows a fraction of the pace
            pace = float(sum(sent > now - 1.0 for sent in self._recent))
            self._before = min(self.now or math.inf, pace)
            self.now = min(max(self._before / 2, _FLOOR), self._ceiling or math.inf)
        self._came_through = False
        self._halved, self._throttled = now, self._SHARE  # the next one counts at once
        return True


class InFlight:
    """How many requests to have in flight: more while that brings more answers a second, fewer when they only wait longer.

    Answers a second are the requests in flight by the seconds that one takes (Little's law), so they are known as soon
    as some requests of the present size are back: an epoch. The size doubles while each doubling brings a quarter more.
    Then it stays, and now and then a quarter more is tried, in turns with a quarter less where answers take longer than the
    least that was seen: they may wait in a queue. A size that is not in full use (few jobs are left, a rate is in force) is
    not judged.

    Parameters
    ----------
    start : int
        Requests to begin with.
    """

    _REST = 8  # epochs between two trials: one that fails costs a quarter of the pace of one epoch
    _GAIN = 1.25  # of the pace by a doubling, for another
    # a quarter more in flight must bring 6 % more pace, a quarter less may cost 3 %. Where a service slows down bit by bit,
    # each step down is cheap, but many are not: 10 % and 5 % lost a quarter of the pace there. Less is lost in noise.
    _MORE, _LESS = 1.06, 0.97
    _CHANGE = 1.5  # times as long as before: the service is another
    _QUEUEING = 1.3  # times the least seconds: a healthy service is never tried with fewer
    _FEWEST = 4  # below, chance decides more than the service

    def __init__(self, start: int = 16) -> None:
        self.size = self._settled = start  # what to return to after a trial
        # answers a second, and seconds an answer (0 where not known), of the size that was settled on
        self._pace = self._took_s = 0.0
        self._least_s = math.inf
        self._doubling, self._trial, self._up, self._rest = True, False, False, 0
        self._begin(-math.inf)

    def _begin(self, now: float) -> None:
        self._since, self._count, self._logs, self._full = now, 0, 0.0, False
        self._enough = max(self.size if self._doubling else 2 * self.size, 8)

    def answered(self, sent: float, alongside: int, now: float, ceiling: int) -> None:
        """Take note of an answer; what was sent under another size says nothing of this one."""
        if sent < self._since:
            return
        self._count += 1
        # the mean of logarithms: one answer that takes a hundred times as long must not look like a slow service
        self._logs += math.log(max(now - sent, 1e-6))
        self._full = self._full or alongside >= self.size or alongside >= ceiling
        if self._count >= self._enough:
            if self._full:
                self.size = min(self.size, ceiling)
                took_s = math.exp(self._logs / self._count)
                self._least_s = min(self._least_s, took_s)
                self._judge(self.size / took_s, took_s, ceiling)
            self._begin(now)

    def _judge(self, pace: float, took_s: float, ceiling: int) -> None:
        """Decide the size of the next epoch by the answers a second of this one."""
        if self._doubling:
            self._doubling = pace > self._GAIN * self._pace and self.size < ceiling
            if pace < self._MORE * self._pace:
                self.size = max(self.size // 2, min(self._FEWEST, ceiling))
            elif self._doubling:
                self._pace, self.size = pace, min(2 * self.size, ceiling)
        elif not self._trial:
            self._rest_on(pace, took_s, ceiling)
        elif pace < (self._MORE if self._up else self._LESS) * self._pace:
            self._trial, self.size = False, self._settled
        elif self._up:
            self._pace, self._took_s = pace, took_s
            self._try(ceiling, up=True)
        elif took_s < self._QUEUEING * self._least_s:
            self._trial, self._took_s = False, took_s
        else:
            self._try(ceiling, up=False)

    def _rest_on(self, pace: float, took_s: float, ceiling: int) -> None:
        """Take note of an epoch at the size that was settled on; try another where it is time."""
        if not self._took_s:
            self._pace, self._took_s = pace, took_s
        elif not 1 / self._CHANGE < took_s / self._took_s < self._CHANGE:
            # half of this epoch was another service's: measure the next, then follow at once
            self._up, self._took_s = took_s < self._took_s, 0.0
            return
        else:
            self._pace += (pace - self._pace) / 2
            self._took_s += (took_s - self._took_s) / 2
            self._rest -= 1
            if self._rest > 0:
                return
            self._up = not self._up
        self._try(ceiling, up=self._up or took_s < self._QUEUEING * self._least_s)

    def _try(self, ceiling: int, *, up: bool) -> None:
        """Try a quarter more or less; where there is no such size, rest."""
        other = max(self.size + 1, self.size * 5 // 4) if up else self.size * 3 // 4
        self._settled, self._up, self._rest = self.size, up, self._REST
        self.size = min(max(other, self._FEWEST), ceiling)
        self._trial = self.size != self._settled


class Pace:
    """What a client has learnt of its service; it outlives a call.

    Parameters
    ----------
    ceiling : float or None
        Requests a second that the user allows.
    """

    def __init__(self, ceiling: float | None) -> None:
        self.rate, self.quota, self.in_flight = Rate(ceiling), RetryQuota(), InFlight()
        self.list_size: int | None = None  # largest comma list that the service takes, once it refused one
        self.accepted_size = 1  # largest comma list that it has answered


def backoff(attempt: int, chance: float, *, base: float = 0.2, cap: float = 20.0) -> float:
    """Return seconds of full jitter before retry number ``attempt`` (from 0).

    Examples
    --------
    >>> backoff(0, 1.0), backoff(3, 0.5), backoff(99, 1.0)
    (0.2, 0.8, 20.0)
    """
    return chance * min(base * 2.0 ** min(attempt, 16), cap)
