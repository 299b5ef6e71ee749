"""Stretches of creation time: windows that a caller asks for, spans that a worker pages through."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

SERVICE_ZONE = timezone(timedelta(hours=8))


class Window(NamedTuple):
    """A stretch of creation time, in seconds since the epoch: ``start`` is in it, ``end`` is not."""

    start: int
    end: int

    def bounds(self) -> dict[str, str]:
        """Return the service's parameters for it; both are exclusive there: "greater than" and "smaller than".

        Examples
        --------
        >>> Window(1, 3).bounds()
        {'startCreationTime': '1970-01-01T08:00:00+0800', 'endCreationTime': '1970-01-01T08:00:03+0800'}
        """
        return {
            "startCreationTime": _wire_time(self.start - 1),
            "endCreationTime": _wire_time(self.end),
        }


@dataclass
class Span:
    """A window that is being paged, oldest job first; ``end`` moves down when another worker takes the rest.

    Parameters
    ----------
    window : Window
        What the service was asked for.
    end : int
        Where this span ends now.
    reached : int
        Newest creation time seen, or the end where the pages are over.
    jobs : int
        Jobs seen.
    since_ms : int
        When its first page was answered.
    ordered : bool
        False once a job came out of order: then nothing is known of what is still to come.
    """

    window: Window
    end: int
    reached: int
    jobs: int = 0
    since_ms: int = 0
    ordered: bool = True

    @classmethod
    def of(cls, window: Window) -> Span:
        """Return the span of a window that was not begun."""
        return cls(window, window.end, window.start - 1)

    def begin_again(self) -> None:
        """Forget how far the pages led."""
        self.reached, self.jobs, self.ordered = self.window.start - 1, 0, True

    def see(self, created: list[int | None]) -> None:
        """Take note of the creation times of one page."""
        for moment in created:
            self.ordered = self.ordered and moment is not None and moment >= self.reached
            self.reached = max(self.reached, moment or 0)
        self.jobs += len(created)

    def over(self) -> bool:
        """Return whether everything before the end has been seen."""
        return self.ordered and self.reached >= self.end

    def left(self) -> float:
        """Estimate the jobs still to come, from how dense they were so far."""
        if not self.jobs or not self.ordered or self.reached <= self.window.start:
            return 0.0
        return self.jobs / (self.reached - self.window.start) * (self.end - self.reached)

    def cut(self) -> Window:
        """Give the later half of what was not reached away."""
        later = Window((self.reached + self.end) // 2, self.end)
        self.end = later.start
        return later


def seconds(text: str | None) -> int | None:
    """Read a creation time in whole seconds since the epoch; None where it is none.

    Examples
    --------
    >>> seconds("1970-01-01T08:00:07+0800"), seconds("-"), seconds("1970-01-01T00:00:00")
    (7, None, None)
    """
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else int(moment.timestamp())


def _wire_time(moment: int) -> str:
    return datetime.fromtimestamp(moment, SERVICE_ZONE).strftime("%Y-%m-%dT%H:%M:%S%z")
