"""An explorer of jobs: filters, tabs, one sentence and one figure, drawn from the histogram.

Every control is a function of the frozen :class:`~cosai_nb.views.selection.Selection`; the widget holds no other state.
"""

from __future__ import annotations

import base64
import html
from typing import TYPE_CHECKING, Any, cast

import ipywidgets as widgets
import pandas as pd

from cosai_nb.errors import CosaiError
from cosai_nb.stats.histogram import DurationHistogram
from cosai_nb.views.findings import finding
from cosai_nb.views.panel import Controls, detail_table, job_options
from cosai_nb.views.plots.quick import quick_png
from cosai_nb.views.plots.style import DISPLAY_ZONE, bare_sheet, say, without_tex, zone_name
from cosai_nb.views.selection import TABS
from cosai_nb.views.sources import Sources

if TYPE_CHECKING:
    from datetime import tzinfo

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cosai_nb.views.selection import Selection

_TITLES = ("Latency", "Over time", "Weekdays", "Failures", "Load", "Errors", "Slowest jobs")
_SIZES = {"weekdays": (9.2, 3.9), "slowest": (9.2, 6.4)}
_DPI = 100


def explore(jobs: pd.DataFrame | DurationHistogram, *, tz: str | tzinfo = DISPLAY_ZONE) -> Explorer:
    """Look at jobs from all sides in a notebook: filter, group, and read the answer as a sentence and a figure.

    Parameters
    ----------
    jobs : pandas.DataFrame or DurationHistogram
        One row per job; or their histogram, which knows no single jobs: the tabs of errors and slowest jobs then
        say so. A frame is counted once; after that a change costs the same for a thousand jobs and for a million.
    tz : str or tzinfo
        Time zone of axes and of the From and To fields.

    Returns
    -------
    Explorer
        A widget. ``.selection`` is what it shows, ``.data()`` the small frame that its figure draws, ``.code()``
        the Python that reproduces the view.

    Raises
    ------
    TypeError
        ``jobs`` is neither a frame nor a histogram.
    SettingsError
        ``tz`` is no time zone.

    Examples
    --------
    >>> import cosai_nb as cn
    >>> texts = pd.DataFrame({"JobId": ["a", "b"], "State": ["Success", "Running"], "QueueId": "q1",
    ...     "Tag": "Translation", "CreationTime": "2026-11-01T10:00:00+0800",
    ...     "StartTime": "2026-11-01T10:00:07+0800", "EndTime": ["2026-11-01T10:00:09+0800", "-"]})
    >>> explorer = explore(cn.add_timings(texts, observed_at="2026-11-01T02:01:00Z"))
    >>> explorer.controls.quantile.value = 0.5
    >>> explorer
    Explorer: 50 % of the jobs start within 7 s. (2 jobs, 50.0 % unfinished)
    """
    return Explorer(jobs, tz=tz)


class Explorer(widgets.VBox):  # type: ignore[misc]  # ipywidgets is untyped
    """The widget that :func:`explore` returns.

    Attributes
    ----------
    controls : Controls
        The filters; setting a ``.value`` there is what a user does.
    tabs : ipywidgets.Tab
        ``selected_index`` is the place of the tab.
    sentence : str
        What stands above the figure.
    """

    def __init__(self, jobs: pd.DataFrame | DurationHistogram, *, tz: str | tzinfo = DISPLAY_ZONE) -> None:
        tz = zone_name(tz)
        if not isinstance(jobs, (pd.DataFrame, DurationHistogram)):
            raise TypeError(f"explore takes the jobs frame or its histogram, not {type(jobs).__name__}.")
        self._sources = Sources(jobs)
        self.controls = Controls(self._sources.histogram, tz, self._refresh)
        self._pages = [_Page() for _ in TABS]
        self.tabs = widgets.Tab([page.box for page in self._pages], titles=_TITLES)
        self._job = widgets.Dropdown(description="Job", options=[], layout={"width": "min(560px, 98%)"})
        self._detail = widgets.HTML()
        self._pages[-1].box.children += (self._job, self._detail)
        self.sentence = ""
        super().__init__([self.controls.box, self.tabs])
        self.tabs.observe(self._refresh, names="selected_index")
        self._job.observe(self._show_job, names="value")
        self._refresh()

    @property
    def selection(self) -> Selection:
        """What is shown, as a frozen value."""
        return self.controls.selection(TABS[self.tabs.selected_index or 0])

    def data(self) -> pd.DataFrame:
        """Return the small frame that the figure draws.

        Raises
        ------
        FrameError
            The jobs lack a column, or the tab needs single jobs and there is only their histogram.
        """
        selection = self.selection
        return selection.data(self._sources.of(selection))

    def code(self) -> str:
        """Return the Python that reproduces the view of a variable ``jobs``: what was given to :func:`explore`."""
        selection = self.selection
        return selection.code(counted=self._sources.frame is None, single=self._sources.gives_rows(selection))

    @without_tex
    def _refresh(self, _change: Any = None) -> None:
        selection = self.selection
        page = self._pages[TABS.index(selection.tab)]
        ax = bare_sheet(*_SIZES.get(selection.tab, (9.2, 4.6)))
        summary = pd.DataFrame({"job_id": []})
        try:
            jobs, selected = self._sources.of(selection), self._sources.histogram_of(selection)
            summary = selection.data(jobs)
            self.sentence = finding(selection, selected, summary)
            selection.draw(summary, selected, ax)
        except CosaiError as error:
            self.sentence = str(error)
            say(ax, "Nothing to draw: see the sentence above.")
        page.show(self.sentence, ax)
        if selection.tab == "slowest":
            self._job.options = job_options(summary)
            self._job.index = 0 if len(summary) else None
            self._show_job()

    def _show_job(self, _change: Any = None) -> None:
        """Show every column of the job that is chosen, if there is one."""
        number = self._job.value
        frame = self._sources.frame
        if number is None or frame is None:
            self._detail.value = ""
            return
        job = frame.iloc[self._sources.slowest(self.selection)[number]]
        self._detail.value = detail_table(job, self.controls.tz)

    def __repr__(self) -> str:
        return f"Explorer: {self.sentence}"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the live widget, and for exports, where no kernel answers, the last figure and sentence."""
        bundle = dict(super()._repr_mimebundle_(**kwargs) or {})
        bundle["text/plain"] = repr(self)
        bundle["image/png"] = self._pages[TABS.index(self.selection.tab)].png
        return bundle, {"image/png": {"alt": self.sentence}}


class _Page:
    """One tab: a sentence and a figure.

    The figure is markup and not a widgets.Image: that one has no alternative text.
    """

    def __init__(self) -> None:
        self._text, self._figure = widgets.HTML(), widgets.HTML()
        self.box = widgets.VBox([self._text, self._figure])
        self.png = ""

    def show(self, sentence: str, ax: Axes) -> None:
        """Put the sentence, and what was drawn, where they are seen."""
        self.png = base64.b64encode(quick_png(cast("Figure", ax.figure), dpi=_DPI)).decode("ascii")
        text = html.escape(sentence)
        self._text.value = f'<p role="status" style="font-size:115%;line-height:1.4;margin:.4em 0">{text}</p>'
        self._figure.value = (
            f'<img alt="Figure: {text}" style="width:100%;max-width:920px;height:auto" '
            f'src="data:image/png;base64,{self.png}">'
        )
