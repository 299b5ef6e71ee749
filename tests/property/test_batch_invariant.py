"""Whatever a service does, every ID ends in exactly one record, and no record is another's."""

from __future__ import annotations

import random
import threading
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.errors import MalformedError, OversizedError, UnavailableError
from cosai_nb.service.batch import MAX_LIST, fetch_records

DEEDS = [
    "refuse",
    "omit",
    "foreign",
    "twice",
    "unknown",
    "swapped",
    "empty",
    "html",
    "cut",
    "huge",
    "500",
    "503",
    "bare 404",
    "reset",
]
ASKED_AT_MOST = (
    3 * 6
)  # 10, 5, 3, 2 and 1 in a list, once alone for being omitted; three times where it is malformed
RETRIES_AT_MOST = 500 // 5  # whatever is retried is paid for by one budget


class Chaos:
    """A service whose every answer is true but for one deed, drawn with ``probability``."""

    def __init__(self, wire, seed, probability, deeds, largest, unknown):
        self.wire, self.probability, self.deeds, self.largest = wire, probability, deeds, largest
        self.unknown = set(unknown)
        self.chance = random.Random(seed)
        self.asked: Counter[str] = Counter()
        self.longest = 0
        self.given: dict[str, list[str]] = {}
        self.lock = threading.Lock()

    def __call__(self, url, _headers):
        ids = self.wire.ids_of(url)
        with self.lock:
            self.asked.update(ids)
            self.longest = max(self.longest, len(ids))
            deed = (
                self.chance.choice(self.deeds)
                if self.deeds and self.chance.random() < self.probability
                else ""
            )
            return self.answer(ids, "refuse" if len(ids) > self.largest else deed)

    def answer(self, ids, deed):
        wire, reply = self.wire, self.wire.reply
        known = [job_id for job_id in ids if job_id not in self.unknown]
        unknown = [job_id for job_id in ids if job_id in self.unknown]
        plain = {
            "refuse": lambda: wire.fault(400, "InvalidArgument"),
            "empty": lambda: reply(200, b""),
            "html": lambda: reply(200, "<html>hello</html>"),
            "cut": lambda: MalformedError("cut", retryable=True),
            "huge": lambda: OversizedError("huge"),
            "500": lambda: wire.fault(500, "InternalError"),
            "503": lambda: wire.fault(503, "SlowDown", Retry_After="0.1"),
            "bare 404": lambda: reply(404, "<html>nginx</html>"),
            "reset": lambda: UnavailableError("reset", retryable=True),
        }
        if deed in plain:
            return plain[deed]()
        if deed == "omit":
            known = known[1:]
        elif deed == "foreign":
            known = [*known, "nobody-asked"]
        elif deed == "swapped":
            known = ["nobody-asked"]
        elif deed == "twice":
            known = known * 2
        elif deed == "unknown":
            unknown = [*unknown, "nobody-asked", ""]
        self.chance.shuffle(known)
        return reply(200, self.wire.xml(known, unknown))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    number=st.integers(0, 60),
    seed=st.integers(0, 2**32),
    probability=st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0]),
    deeds=st.lists(st.sampled_from(DEEDS), max_size=5),
    largest=st.integers(1, 10),
    unknown=st.sets(st.integers(0, 59), max_size=10),
    workers=st.sampled_from([1, 2, 7]),
    batch_size=st.integers(1, 10),
)
def test_every_id_ends_in_exactly_one_record(
    wire, number, seed, probability, deeds, largest, unknown, workers, batch_size
):
    ids = [f"j{position}" for position in range(number)]
    nobody = {f"j{position}" for position in unknown}
    service = Chaos(wire, seed, probability, deeds, largest, nobody)
    client = wire.client_of(service)
    seen: Counter[str] = Counter()

    fetched = fetch_records(
        client, ids, workers=workers, batch_size=batch_size,
        on_records=lambda records: seen.update(record.job_id for record in records),
    )  # fmt: skip

    assert set(fetched.records) == set(ids)
    assert all(times == 1 for times in seen.values())
    for job_id, record in fetched.records.items():
        assert record.job_id == job_id
        if record.fate == "job":
            assert record.values[0] == job_id
            assert job_id not in nobody
        elif record.fate == "unread":
            assert record.error
        else:
            # a single ID with an answer that holds nothing is not found: only omissions may say so of a known one
            assert record.fate == "not_found"
            assert job_id in nobody or "omit" in deeds
    if not deeds or probability == 0.0:
        assert {record.fate for record in fetched.records.values()} <= {"job", "not_found"}
        assert fetched.ended is None
    assert service.longest <= min(MAX_LIST, batch_size)
    assert all(times <= ASKED_AT_MOST + RETRIES_AT_MOST for times in service.asked.values())
    assert sum(service.asked.values()) <= (ASKED_AT_MOST * number) + MAX_LIST * RETRIES_AT_MOST
    assert wire.workers_have_ended()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 16))
def test_rare_failures_of_any_kind_lose_nothing(wire, seed, workers):
    ids = [f"j{position}" for position in range(300)]
    passing = [
        deed
        for deed in DEEDS
        if deed in {"foreign", "twice", "unknown", "cut", "500", "503", "reset", "empty"}
    ]
    service = Chaos(wire, seed, 0.05, passing, 10, ids[::9])
    fetched = fetch_records(wire.client_of(service), ids, workers=workers)
    assert Counter(record.fate for record in fetched.records.values()) == {"job": 266, "not_found": 34}
    assert fetched.ended is None
