"""Work for many items in a few threads: Arrow and NumPy let go of the interpreter while they decode and sort."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")


def ahead(work: Callable[[T], R], items: Iterable[T], *, threads: int = 2) -> Iterator[tuple[T, Future[R]]]:
    """Do some work for each item in threads, in order, and for no more items ahead than there are threads."""
    waiting: deque[tuple[T, Future[R]]] = deque()
    pool = ThreadPoolExecutor(threads, "scan")
    try:
        for item in items:
            waiting.append((item, pool.submit(work, item)))
            if len(waiting) > threads:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)
