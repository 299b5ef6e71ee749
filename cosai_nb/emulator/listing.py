"""Lists of jobs and of queues: parameters, filters and pages (api.md §1.3, §1.4)."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from cosai_nb.emulator import wire
from cosai_nb.emulator.wire import invalid
from cosai_nb.emulator.workload import NOT_YET, STATES, Snapshot, Workload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_MAX_PAGE = 100
_MAX_QUEUES = 10


def job_page(
    workload: Workload, snapshot: Snapshot, path: str, params: Mapping[str, str], *, inclusive: bool
) -> tuple[list[int], str | None]:
    """Return the positions of one page's jobs, and the token of the page behind it, None at the end.

    Raises
    ------
    Refused
        400 InvalidArgument where a parameter is missing or cannot be right.
    """
    size = _whole(params, "size", default=10, largest=_MAX_PAGE)
    order = params.get("orderByTime") or "Desc"
    if order not in {"Asc", "Desc"}:
        raise invalid("orderByTime must be Asc or Desc.")
    numbers = _matching(workload, snapshot, path, params, inclusive=inclusive)
    if order == "Desc":
        numbers = numbers[::-1]
    filters = sorted((name, value) for name, value in params.items() if name not in {"nextToken", "size"})
    mark = zlib.crc32(f"{path}{filters}".encode())
    begin = _begin(params.get("nextToken", ""), mark, numbers, order)
    page: list[int] = numbers[begin : begin + size].tolist()
    more = begin + size < len(numbers)
    return page, str(mark << 32 | page[-1]) if more else None


def queue_page(
    workload: Workload, now: float, params: Mapping[str, str]
) -> tuple[list[wire.QueueView], list[str], tuple[int, int, int] | None]:
    """Return queues, unknown IDs, and (total, page number, page size), which is None when IDs were asked for."""
    state = params.get("state") or "All"
    if state not in {"All", "Active", "Paused"}:
        raise invalid("state must be Active or Paused.")
    asked = [queue_id for queue_id in params.get("queueIds", "").split(",") if queue_id]
    if len(asked) > _MAX_QUEUES:
        raise invalid(f"At most {_MAX_QUEUES} queue IDs may be queried at once.")
    views = [_queue(workload, now, position) for position in range(len(workload.queue_ids))]
    views = [view for view in views if state in {"All", view.state}]
    if asked:
        missing = [queue_id for queue_id in asked if queue_id not in workload.queue_ids]
        return [view for view in views if view.queue_id in asked], missing, None
    number = _whole(params, "pageNumber", default=1)
    size = _whole(params, "pageSize", default=10, largest=_MAX_PAGE)
    return views[(number - 1) * size : number * size], [], (len(views), number, size)


def _queue(workload: Workload, now: float, position: int) -> wire.QueueView:
    spec = workload.scenario.queues[position]
    return wire.QueueView(
        queue_id=workload.queue_ids[position],
        name=spec.name,
        state="Paused" if workload.queue_is_paused(position, now) else "Active",
        max_concurrent=spec.servers,
        category=_category(workload, position),
        created=int(workload.scenario.start.timestamp()) - 86_400,
    )


def _category(workload: Workload, position: int) -> str:
    tags = [tag for tag, _ in workload.scenario.queues[position].mix]
    return "Speeching" if tags == ["SpeechRecognition"] else "AIProcess"


def _matching(
    workload: Workload, snapshot: Snapshot, path: str, params: Mapping[str, str], *, inclusive: bool
) -> NDArray[np.int64]:
    """Return positions of the jobs that a list request is about, in order of creation."""
    tag = params.get("tag")
    if not tag:
        raise invalid("tag is required.")
    names = [spec.name for spec in workload.scenario.tags]
    wanted = (snapshot.state != NOT_YET) & _in_queue(workload, path, params)
    wanted &= workload.tag == (names.index(tag) if tag in names else NOT_YET)
    wanted &= _in_states(snapshot, params.get("states") or "All")
    slack = 1 if inclusive else 0
    created = np.floor(workload.creation_time)
    if params.get("startCreationTime"):
        wanted &= created > _instant(params, "startCreationTime") - slack
    if params.get("endCreationTime"):
        wanted &= created < _instant(params, "endCreationTime") + slack
    numbers = np.flatnonzero(wanted)
    if key := params.get("inputObject"):
        same = [workload.details(number).input_object == key for number in numbers.tolist()]
        numbers = numbers[np.array(same, dtype=bool)]
    return numbers


def _in_queue(workload: Workload, path: str, params: Mapping[str, str]) -> Mask:
    if queue_id := params.get("queueId"):
        if queue_id not in workload.queue_ids:
            raise invalid("The queue does not exist.")
        return np.asarray(workload.queue == workload.queue_ids.index(queue_id), dtype=bool)
    if path == "/ai_jobs":
        raise invalid("queueId is required.")
    kind = params.get("queueType")
    if not kind:
        raise invalid("queueId or queueType is required.")
    of_kind = np.array([_category(workload, position) == kind for position in range(len(workload.queue_ids))])
    return np.asarray(of_kind[workload.queue], dtype=bool)


def _in_states(snapshot: Snapshot, text: str) -> Mask:
    asked = text.split(",")
    if unknown := set(asked) - {*STATES, "All"}:
        raise invalid(f"states has an unknown value: {min(unknown)[:40]}.")
    if "All" in asked:
        return np.ones(len(snapshot.state), dtype=bool)
    return np.isin(snapshot.state, [STATES.index(name) for name in asked])


def _begin(token: str, mark: int, numbers: NDArray[np.int64], order: str) -> int:
    """Return where the page after ``token`` begins: behind the last job of the page before it."""
    if not token:
        return 0
    if not (token.isascii() and token.isdigit() and len(token) <= 20 and int(token) >> 32 == mark):  # noqa: PLR2004 - 64 bits
        raise invalid("nextToken does not belong to this list.")
    last = int(token) & 0xFFFFFFFF
    if order == "Asc":
        return int(np.searchsorted(numbers, last, side="right"))
    return int(np.searchsorted(-numbers, -last, side="right"))


def _whole(params: Mapping[str, str], name: str, *, default: int, largest: int = 10**6) -> int:
    text = params.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= largest):  # noqa: PLR2004 - 7 digits
        raise invalid(f"{name} must be a whole number from 1 to {largest}.")
    return int(text)


def _instant(params: Mapping[str, str], name: str) -> float:
    try:
        return datetime.strptime(params[name], "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (ValueError, OverflowError):
        raise invalid(f"{name} must be of the form 2001-01-01T00:00:00+0800, with + sent as %2B.") from None
