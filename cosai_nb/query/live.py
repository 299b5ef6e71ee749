"""What a watch shows while it goes on: a widget in Jupyter, one line on stderr elsewhere, or nothing."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, NamedTuple

from cosai_nb.schema import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class Progress(NamedTuple):
    """Where a watch stands.

    Parameters
    ----------
    counts : mapping
        Outcome to number of jobs, those that there are.
    total : int
        IDs watched.
    left : int
        Those that have not ended.
    eta_s : float or None
        Seconds until all have ended, at the pace since the watch began; None where none has ended since.
    oldest : list of (str, float)
        ID and age in seconds of the jobs that have waited longest.
    trouble : str
        Why the last round could not read them all; empty where it could.
    """

    counts: Mapping[str, int]
    total: int
    left: int
    eta_s: float | None
    oldest: list[tuple[str, float]]
    trouble: str = ""

    def line(self) -> str:
        """Return one line of plain text.

        Examples
        --------
        >>> Progress({"success": 3, "waiting": 1}, 4, 1, 90.0, [("a1", 200.0)]).line()
        '3 of 4 ended (3 success, 1 waiting); about 2 min left; a1 has waited 3 min'
        """
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in self.counts.items())
        ended = self.total - self.left - self.counts.get(Outcome.NOT_FOUND, 0)
        parts = [f"{ended:,} of {self.total:,} ended ({counts})"]
        if self.left:
            parts.append("time left unknown" if self.eta_s is None else f"about {spoken(self.eta_s)} left")
        parts += [f"{job_id} has waited {spoken(age)}" for job_id, age in self.oldest[:1]]
        parts += [f"not read: {self.trouble}"] if self.trouble else []
        return "; ".join(parts)

    def table(self) -> str:
        """Return the same as HTML, with the oldest waiting jobs; IDs and states are escaped."""
        rows = "".join(
            f"<tr><td><code>{html.escape(job_id)}</code></td><td>{spoken(age)}</td></tr>"
            for job_id, age in self.oldest
        )
        oldest = f"<table><tr><th>waiting longest</th><th>for</th></tr>{rows}</table>" if rows else ""
        return f"<b>{html.escape(self._replace(oldest=[]).line())}</b>{oldest}"


class View:
    """Shows how a watch goes on; this one shows nothing."""

    def show(self, progress: Progress) -> None:
        """Show where it stands now."""

    def close(self) -> None:
        """Leave the last state standing."""


class Line(View):
    """One line on stderr, rewritten in place on a terminal, a new line at each change in a log."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, progress: Progress) -> None:
        """Write the line, if it differs from the last."""
        line = progress.line()
        if line == self._last:
            return
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{line}")
        else:
            sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
        self._last = line

    def close(self) -> None:
        """End the line."""
        if self._last and sys.stderr.isatty():
            sys.stderr.write("\n")


def view_of(progress: bool | None, total: int) -> View:  # noqa: FBT001 - handed through
    """Return the view for this place: ``progress=False`` shows nothing."""
    if progress is False:
        return View()
    if _in_jupyter():
        from cosai_nb.query.widget import Widget  # noqa: PLC0415 - ipywidgets costs 0.3 s, and only notebooks need it

        return Widget(total)
    return Line()


def spoken(seconds: float) -> str:
    """Return a duration in its natural unit.

    Examples
    --------
    >>> [spoken(seconds) for seconds in (42.4, 90, 5400, 200_000)]
    ['42 s', '2 min', '1.5 h', '2.3 d']
    """
    if seconds < 60:  # noqa: PLR2004 - seconds a minute
        return f"{seconds:.0f} s"
    if seconds < 3600:  # noqa: PLR2004 - seconds an hour
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 86400 else f"{seconds / 86400:.1f} d"  # noqa: PLR2004 - seconds a day


def _in_jupyter() -> bool:
    """Return whether this process is a Jupyter kernel; IPython is looked at only where it runs already."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
