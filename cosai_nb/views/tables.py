"""What the template draws as a table: columns, and cells that carry their own sort value."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd

from cosai_nb.views.wording import UNKNOWN, count, duration, printable, share, when

MOST_TWIN_ROWS = 100
_LONGEST_ID = 20
_WHOLE = 99.95
_LARGE = 10_000


class Cell(NamedTuple):
    """Text, and what to sort by where the text is not a number that JavaScript reads."""

    text: str
    value: str | None = None
    small: str = ""
    title: str = ""


class Column(NamedTuple):
    """A heading; ``mark`` is the CSS class of its cells, ``order`` how the rows already stand.

    ``unit`` is that of the cells' sort values, which a saved CSV holds instead of their text.
    """

    name: str
    mark: str = ""
    order: str = ""
    unit: str = ""

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers."""
        return "n" in self.mark.split()


@dataclass(frozen=True)
class Table:
    """A table of the report; ``hidden`` rows are not in it, and the page says so."""

    caption: str
    columns: list[Column]
    rows: list[list[Cell]] = field(default_factory=list)
    hidden: int = 0
    row_headers: bool = True


def number(value: float) -> str:
    """Return a number as JavaScript's ``Number`` reads it.

    Examples
    --------
    >>> number(7.0), number(float("inf")), number(float("nan"))
    ('7', 'Infinity', 'NaN')
    """
    if math.isnan(value):
        return "NaN"
    return "Infinity" if math.isinf(value) else f"{value:.6g}"


def seconds_column(name: str, order: str = "") -> Column:
    """Return the heading of durations."""
    return Column(name, "n", order, "s")


def seconds_cell(seconds: float, small: str = "") -> Cell:
    """Return a duration."""
    return Cell(duration(seconds), number(seconds), small)


def count_cell(jobs: float) -> Cell:
    """Return a number of jobs."""
    return Cell(count(jobs))


def share_cell(part: float, small: str = "") -> Cell:
    """Return a share in percent."""
    return Cell(share(part), number(part), small)


def time_cell(moment: Any, tz: str) -> Cell:
    """Return a moment; its text sorts by itself."""
    return Cell(when(moment, tz))


def per_hour_cell(jobs: float, seconds: float) -> Cell:
    """Return how many jobs an hour that is; not known where no time has passed.

    Examples
    --------
    >>> per_hour_cell(1200, 36_000).text, per_hour_cell(1, 360_000).text, per_hour_cell(1, 0).text
    ('120', '< 0.1', '–')
    """
    if not seconds > 0 or math.isnan(jobs):
        return Cell(UNKNOWN, "NaN")
    rate = jobs * 3600 / seconds
    text = f"{rate:,.0f}" if rate >= _WHOLE or not rate else f"{rate:.1f}"
    return Cell("< 0.1" if text == "0.0" else text, number(rate))


def id_cell(value: Any) -> Cell:
    """Return an ID without its middle; sorting, the filter, a saved CSV and the pointer have the whole one.

    Examples
    --------
    >>> id_cell("p0123456789abcdef0123456789abcdef0").text
    'p0123456…abcdef0'
    """
    text = printable(value)
    if len(text) <= _LONGEST_ID:
        return Cell(text)
    return Cell(f"{text[:8]}…{text[-7:]}", text, title=text)


def text_cell(value: Any, longest: int = 100) -> Cell:
    """Return outside text."""
    return Cell(printable(value, longest=longest))


def twin_table(summary: pd.DataFrame, caption: str, tz: str) -> Table:
    """Return the small frame that a figure draws, as its text alternative.

    Parameters
    ----------
    summary : pandas.DataFrame
        What a plot's ``_data`` twin returned.
    caption : str
        What the table is.
    tz : str
        Display zone of its times.
    """
    named = summary.index.names if summary.index.nlevels > 1 or summary.index.name else []
    shown = summary.reset_index() if named else summary
    hidden = max(len(shown) - MOST_TWIN_ROWS, 0)
    if hidden:
        shown = shown.iloc[:MOST_TWIN_ROWS]
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in shown.dtypes]
    timely = [pd.api.types.is_datetime64_any_dtype(dtype) for dtype in shown.dtypes]
    columns = [
        Column(printable(str(name)), "n" if is_number else "time" if is_time else "")
        for name, is_number, is_time in zip(shown.columns, numeric, timely, strict=True)
    ]
    rows = [[_twin_cell(value, tz) for value in row] for row in shown.itertuples(index=False, name=None)]
    return Table(caption, columns, rows, hidden, row_headers=False)


def _twin_cell(value: Any, tz: str) -> Cell:
    if isinstance(value, (tuple, list)):
        return Cell(", ".join(printable(part, longest=60) for part in value))
    if pd.isna(value):
        return Cell(UNKNOWN)
    if isinstance(value, pd.Timestamp):
        return Cell(when(value, tz) if value.tzinfo else f"{value:%Y-%m-%d %H:%M}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if math.isinf(value):
            return Cell("not reached", number(value))
        if isinstance(value, int) or abs(value) >= _LARGE:
            return Cell(f"{value:,.0f}", number(value) if abs(value) >= 1000 else None)  # noqa: PLR2004 - a comma
        return Cell(f"{value:.4g}")
    return Cell(printable(value))
