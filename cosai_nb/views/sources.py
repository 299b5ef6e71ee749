"""What the explorer draws from: the histogram, counted once, and the few rows of the frame that single jobs need."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cosai_nb.errors import FrameError
from cosai_nb.schema import COLUMNS, Outcome
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.views.plots.jobs import job_lengths

if TYPE_CHECKING:
    import numpy.typing as npt

    from cosai_nb.views.selection import Selection

    Filters = tuple[tuple[str, str | None], ...]
    Rows = npt.NDArray[np.int64]

LANGUAGES = ("input_lang", "target_lang")
_MOST = 20
MOST_STEPPED = 100_000
"""Jobs whose load is counted moment by moment; of more, on full hours, which costs the same for any number."""
_REMEMBERED = 16


class Sources:
    """Jobs, ready to be selected from quickly.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job, or their histogram. Of a frame that lacks a column nothing can be shown: every view raises the error
        that says so.

    Attributes
    ----------
    frame : pandas.DataFrame or None
        The jobs, where single ones are known.
    histogram : DurationHistogram
        All jobs, with their languages where the frame has them.
    """

    def __init__(self, jobs: pd.DataFrame | DurationHistogram) -> None:
        self.frame: pd.DataFrame | None = None
        self._trouble: FrameError | None = None
        self._order: Rows = np.empty(0, dtype=np.int64)
        self._failed = pd.DataFrame()
        if isinstance(jobs, DurationHistogram):
            self.histogram = jobs
        else:
            self.frame = jobs
            self._count(jobs)
        self._part = lru_cache(maxsize=_REMEMBERED)(self._select)

    def _count(self, jobs: pd.DataFrame) -> None:
        try:
            keys = [name for name in LANGUAGES if name in jobs.columns]
            self.histogram = DurationHistogram.from_jobs(jobs, keys=keys)
        except FrameError as trouble:
            self._trouble = trouble
            self.histogram = DurationHistogram.from_jobs(_no_jobs())
            return
        lengths = job_lengths(jobs)
        self._order = np.argsort(-lengths, kind="stable")[: int(np.isfinite(lengths).sum())]
        self._failed = jobs[(jobs["outcome"] == str(Outcome.FAILED)).to_numpy()]

    def histogram_of(self, selection: Selection) -> DurationHistogram:
        """Return the histogram of the selected jobs.

        Raises
        ------
        FrameError
            The frame lacks a column.
        """
        if self._trouble is not None:
            raise self._trouble
        return self._part(selection.filters, selection.start, selection.end)

    def _select(
        self, filters: Filters, start: pd.Timestamp | None, end: pd.Timestamp | None
    ) -> DurationHistogram:
        if not filters and start is None and end is None:
            return self.histogram
        return self.histogram.where(start=start, end=end, **dict(filters))

    def of(self, selection: Selection) -> pd.DataFrame | DurationHistogram:
        """Return what the tab draws: a histogram, or of a frame the rows that matter to it.

        Raises
        ------
        FrameError
            The frame lacks a column, or the tab shows single jobs and there is only a histogram.
        """
        histogram = self.histogram_of(selection)
        if self.frame is None:
            if selection.tab == "slowest":
                raise FrameError("A histogram knows no single jobs: this tab needs the jobs frame.")
            return histogram
        if not self.gives_rows(selection):
            return histogram
        if selection.tab == "load":
            return self.frame[selection.rows_of(self.frame)]
        if selection.tab == "errors":
            return self._failed[selection.rows_of(self._failed)]
        return self.frame.iloc[self.slowest(selection)]

    def gives_rows(self, selection: Selection) -> bool:
        """Say whether the tab draws rows of the frame: where it shows single jobs, and the load of few."""
        if self.frame is None or self._trouble is not None:
            return False
        few = selection.tab == "load" and self.histogram_of(selection).jobs <= MOST_STEPPED
        return few or selection.tab in ("errors", "slowest")

    def slowest(self, selection: Selection) -> Rows:
        """Return the places of the selected jobs that took longest, the longest first."""
        if self.frame is None:
            return self._order
        return self._order[selection.rows_of(self.frame)[self._order]][:_MOST]


def _no_jobs() -> pd.DataFrame:
    return pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in COLUMNS.values()})
