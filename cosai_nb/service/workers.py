"""Threads that ask, and the one thread that takes in what they send home.

Only the calling thread takes in, so progress bars and stores need no locks and Ctrl-C has one place to arrive.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from cosai_nb.errors import CosaiError

if TYPE_CHECKING:
    from collections.abc import Callable

Message = TypeVar("Message")

_TICK_S = 0.5
_FAREWELL_S = 2.0  # how long an ended call waits for requests in flight; they end by their own timeout


class Workers(ABC, Generic[Message]):
    """What the threads of one call share: a way to send messages home, and the sign to stop."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._messages: SimpleQueue[Message | BaseException | None] = SimpleQueue()  # None: one goes home

    @abstractmethod
    def work(self) -> None:
        """Ask until nothing is left or ``stop`` is set; what it raises ends the call."""

    def send_home(self, message: Message) -> None:
        """Give a message to the calling thread."""
        self._messages.put(message)

    def run(
        self,
        number: int,
        take_in: Callable[[Message | None], None],
        *,
        left: Callable[[], float] = lambda: float("inf"),
    ) -> CosaiError | KeyboardInterrupt | TimeoutError | None:
        """Let threads work, and take in what they send, until all have gone home or the call ends early.

        Parameters
        ----------
        number : int
            Threads.
        take_in : callable
            Called in this thread with each message, and with None twice a second while nothing comes.
        left : callable
            Seconds that the call still has.

        Returns
        -------
        CosaiError, KeyboardInterrupt, TimeoutError or None
            What ended it early: an error of a worker or of ``take_in``, Ctrl-C, or no time left.
        """
        threads = [threading.Thread(target=self._go, name=f"cosai-{n}", daemon=True) for n in range(number)]
        end: CosaiError | KeyboardInterrupt | TimeoutError | None = None
        try:
            self._gather(threads, take_in, left)
        except (CosaiError, KeyboardInterrupt, TimeoutError) as error:
            end = error
        finally:
            self.stop.set()
            farewell = time.monotonic() + _FAREWELL_S
            for thread in filter(threading.Thread.is_alive, threads):
                thread.join(timeout=max(0.0, farewell - time.monotonic()))
        while not self._messages.empty():
            message = self._messages.get_nowait()
            if message is not None and not isinstance(message, BaseException):
                try:
                    take_in(message)
                except CosaiError as error:
                    end = end or error
        return end

    def _go(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - it is raised again in the calling thread
            self._messages.put(error)
            self.stop.set()
        finally:
            self._messages.put(None)

    def _gather(
        self,
        threads: list[threading.Thread],
        take_in: Callable[[Message | None], None],
        left: Callable[[], float],
    ) -> None:
        """Start the threads and take in what they send; raise what ends the call early.

        A function of its own: CPython 3.13.0 does not catch a Ctrl-C that arrives as a ``while`` directly below a ``try`` jumps back.
        """
        for thread in threads:
            thread.start()
        at_work = len(threads)
        while at_work:
            seconds = left()
            if seconds <= 0:
                raise TimeoutError
            try:
                message = self._messages.get(timeout=min(seconds, _TICK_S))
            except Empty:
                take_in(None)
                continue
            if message is None:
                at_work -= 1
            elif isinstance(message, BaseException):
                raise message
            else:
                take_in(message)
