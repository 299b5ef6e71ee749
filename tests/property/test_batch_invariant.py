"""Whatever a service does, every ID ends in exactly one record, and no record is another's."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosai_nb.arguments import MAX_LIST
from cosai_nb.errors import MalformedError, OversizedError, UnavailableError
from cosai_nb.schema import Record
from cosai_nb.service.parsing import Fields
from cosai_nb.service.scheduler import Lists

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
STAGES = 6  # 10, 5, 3, 2 and 1 in a list, and once alone for being omitted
FAILURES = 8 + 3  # of a single ID while others come through, and of answers that cannot be read
PROBES = 60  # in an outage: at most 5 s apart, until nothing came through for 30 s, throttled for 180 s


def fetch(client, ids, *, workers, batch_size=MAX_LIST):
    """Return the records, how often each ID was read, and why the call ended early."""
    plan = Lists(client.path, ids, client.pace, batch_size=batch_size, fields=Fields())
    read = []

    def take():
        read.extend(plan.finished)
        plan.finished = []

    end = client.run(plan, workers=workers, on_tick=take)
    records = {job_id: Record(job_id, "unread", error=f"not read: {end}") for job_id in ids}
    records.update((record.job_id, record) for record in read)
    return records, Counter(record.job_id for record in read), end


class Chaos:
    """A service whose every answer is true but for one deed, drawn with ``probability``."""

    def __init__(self, wire, seed, probability, deeds, largest, unknown):
        self.wire, self.probability, self.deeds, self.largest = wire, probability, deeds, largest
        self.unknown = set(unknown)
        self.chance = random.Random(seed)
        self.asked: Counter[str] = Counter()
        self.longest = 0
        self.given: dict[str, list[str]] = {}

    def __call__(self, url, _headers):
        ids = self.wire.ids_of(url)
        self.asked.update(ids)
        self.longest = max(self.longest, len(ids))
        deed = ""
        if self.deeds and self.chance.random() < self.probability:
            deed = self.chance.choice(self.deeds)
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

    records, seen, end = fetch(client, ids, workers=workers, batch_size=batch_size)

    assert set(records) == set(ids)
    assert all(times == 1 for times in seen.values())
    for job_id, record in records.items():
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
        assert {record.fate for record in records.values()} <= {"job", "not_found"}
        assert end is None
    if end is None:
        assert seen.keys() == records.keys()
    assert service.longest <= min(MAX_LIST, batch_size)
    assert all(times <= STAGES * FAILURES + PROBES for times in service.asked.values())
    assert client.fake.most_in_flight <= workers


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
    records, _, end = fetch(wire.client_of(service), ids, workers=workers)
    assert Counter(record.fate for record in records.values()) == {"job": 266, "not_found": 34}
    assert end is None
