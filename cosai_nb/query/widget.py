"""The watch's live view in Jupyter: one HTML widget, with a text of its own for places that run no widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ipywidgets
from IPython.display import display

from cosai_nb.query.live import View

if TYPE_CHECKING:
    from cosai_nb.query.live import Progress


class Widget(ipywidgets.HTML, View):  # type: ignore[misc]  # ipywidgets has no types
    """Shows counts by outcome, the time left and the jobs that wait longest.

    Parameters
    ----------
    total : int
        IDs watched.
    """

    def __init__(self, total: int) -> None:
        super().__init__()
        self._total = total
        display(self)

    def __repr__(self) -> str:
        # nbval compares it, so it must not depend on when the widget is displayed
        return f"Watching {self._total:,} jobs"

    def show(self, progress: Progress) -> None:
        """Show where the watch stands now."""
        self.value = progress.table()

    def close(self) -> None:
        """Leave the last state standing: a closed widget would vanish from the notebook."""
