"""What a case of the truth bench is, and how its figures are judged."""

from __future__ import annotations

import inspect
import re
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

OK, NOISE, FAIL, NO_TARGET = "ok", "~", "FAIL", "-"
SILENT = 0.10
"""A finite number further off than this needs a warning, or an interval that holds the truth, in the same row."""
SMALL_S = 3.0
"""Whole seconds: an error of up to so many is none."""
WARNING = re.compile(
    r"unknown|cannot|not known|too low|too high|not (?:served )?in order|lower bound|at least|bounds? only|only bounds"
    r"|sample|stale|nothing (?:has )?start|may |rate (?:has )?chang|unread|undecided",
    re.IGNORECASE,
)
"""What counts as a warning about the number itself, in ``note`` or ``method``."""
NO_WARNING = re.compile(
    r"^no interval|too narrow$|^the estimate (?:of [^:]+)?is too low: a queue that is served in order",
    re.IGNORECASE,
)
"""Parts of a note that speak of the interval or of another column."""


class Line(NamedTuple):
    """One printed row; ``pool`` is (name, hits, of how many, least share, negative for most) of a sum over rows."""

    table: str
    name: str
    runs: int
    truth: str
    found: str
    target: str
    verdict: str
    pool: tuple[str, int, int, float] | None = None


class Case(NamedTuple):
    """Something to be measured: ``measure(seed, runs)`` gives its rows."""

    table: str
    name: str
    measure: Callable[[int, int], list[Line]]
    quick: int
    full: int
    in_quick: bool = True

    def rows(self, runs: int) -> list[Line]:
        return self.measure(zlib.crc32(self.name.encode()), runs)


def ask(function: Callable[..., Any], *jobs: Any, **options: Any) -> Any:
    """Call a function of the package, for all of its columns where it can be asked for few."""
    wide = {"detail": True} if "detail" in inspect.signature(function).parameters else {}
    return function(*jobs, **options, **wide)


def warns(row: Any) -> bool:
    """Say whether a row warns about its own number."""
    parts = [part for part in str(row.get("note", "")).split("; ") if not NO_WARNING.search(part)]
    return any(WARNING.search(part) for part in (*parts, str(row.get("method", ""))))


def of_share(found: float, runs: int, *, least: float = 0.0, most: float = 1.0) -> str:
    """Judge a share of the runs; a miss of less than two standard errors of the target's own share is noise."""
    if runs == 0 or np.isnan(found):
        return FAIL
    if least <= found <= most:
        return OK
    goal = least if found < least else most
    wobble = 2 * np.sqrt(max(goal * (1 - goal), 0.01) / runs)
    return NOISE if abs(found - goal) <= wobble else FAIL


def of_median(errors: np.ndarray, most: float) -> str:
    """Judge the median of relative errors; a miss of less than two standard errors is noise."""
    known = errors[np.isfinite(errors)]
    if not len(known):
        return OK  # nothing is claimed: how often that may be is another target
    middle = float(np.median(known))
    if abs(middle) <= most:
        return OK
    spread = 1.48 * float(np.median(np.abs(known - middle)))
    return NOISE if abs(middle) - most <= 2 * 1.25 * spread / np.sqrt(len(known)) else FAIL


def of_mean(errors: np.ndarray, most: float) -> str:
    """Judge the mean of differences (a bias); a miss of less than two standard errors is noise."""
    known = errors[np.isfinite(errors)]
    if not len(known):
        return FAIL
    bias = abs(float(np.mean(known)))
    if bias <= most:
        return OK
    return NOISE if bias - most <= 2 * float(np.std(known)) / np.sqrt(len(known)) else FAIL


def worst_of(verdicts: list[str]) -> str:
    return max(verdicts, key=(NO_TARGET, OK, NOISE, FAIL).index, default=NO_TARGET)


def percent(value: float) -> str:
    return "–" if np.isnan(value) else "∞" if np.isinf(value) else f"{100 * value:+.0f} %"


def furthest(errors: np.ndarray) -> float:
    """Return the finite error that is largest in absolute value."""
    known = errors[np.isfinite(errors)]
    return float(known[np.argmax(np.abs(known))]) if len(known) else float("nan")
