"""The columns of a statistic that are read first, printed so that a terminal shows them all.

pandas leaves out the columns in the middle, which are the numbers, where a long note stands at the end of a row. So notes are
printed below the table, in full.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

_DECIMALS, _ROWS, _NOTES, _LABELS = 4, 60, 5, 3
_CHARACTERS, _COLUMNS = 40, 110


class ShortTable(pd.DataFrame):
    """A frame whose column ``note`` is printed below the others; so are the frames that are made of it."""

    @property
    def _constructor(self) -> type[ShortTable]:
        return ShortTable

    def _constructor_from_mgr(self, mgr: Any, axes: Any) -> ShortTable:
        """Do as later versions do; pandas 2.2.0 warns of its own way."""
        found: ShortTable = ShortTable._from_mgr(mgr, axes)  # type: ignore[attr-defined]  # not in the stubs
        return found

    def __repr__(self) -> str:
        """Return the numbers, rounded to what is read, and the notes below them."""
        width = max(_COLUMNS, pd.get_option("display.width") or 0)
        numbers = self._numbers().to_string(max_rows=_ROWS, max_colwidth=_CHARACTERS, line_width=width)
        return "\n".join([numbers, *self._notes()])

    def _repr_html_(self) -> str | None:
        numbers: Any = self._numbers()  # the stubs do not know how a notebook shows a frame
        table = numbers._repr_html_()
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())
        return None if table is None else f"{table}{notes}"

    def _numbers(self) -> pd.DataFrame:
        shown = pd.DataFrame(self).drop(columns="note", errors="ignore")
        return shown.round(dict.fromkeys(shown.select_dtypes("float"), _DECIMALS))

    def _notes(self) -> list[str]:
        """Return each note once, with the rows that it is of."""
        rows: dict[str, list[str]] = {}
        there = pd.Series(self["note"]) if list(self.columns).count("note") == 1 else pd.Series(dtype="str")
        for label, note in there.dropna().astype(str).items():
            text = ", ".join(map(str, label)) if isinstance(label, tuple) else str(label)
            rows.setdefault(note, []).append(text)
        rows.pop("", None)
        shown = []
        for note, labels in list(rows.items())[:_NOTES]:
            more = f" and {len(labels) - _LABELS:,} more" if len(labels) > _LABELS else ""
            shown.append(f"note of {' · '.join(labels[:_LABELS])}{more}: {note}")
        if len(rows) > _NOTES:
            shown.append(f"{len(rows) - _NOTES:,} more notes are in the column note")
        return shown


def read_first(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return some columns of a statistic, ``note`` among them; or all, where they are few.

    Examples
    --------
    >>> table = pd.DataFrame({"p95": [7.0], "blocks": [1], "note": ["nothing has started"]}, index=["all"])
    >>> read_first(table, ["p95", "note"])
         p95
    all  7.0
    note of all: nothing has started
    """
    table = ShortTable(frame if columns is None else frame[list(columns)])
    table.attrs = frame.attrs
    return table
