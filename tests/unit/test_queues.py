"""list_queues: pages, missing nodes, odd times."""

import pandas as pd
import pytest

from cosai_nb.emulator import Emulator, QueueSpec, Scenario
from cosai_nb.query import list_queues
from cosai_nb.table.dtypes import TEXT

DTYPES = {
    "queue_id": str(TEXT),  # named differently by pandas 2
    "name": str(TEXT),
    "state": "category",
    "max_size": "Int64",
    "max_concurrent": "Int64",
    "category": "category",
    "create_time": "datetime64[ms, UTC]",
    "update_time": "datetime64[ms, UTC]",
    "bucket": "category",
}


def queues_xml(*queues):
    nodes = ("".join(f"<{name}>{text}</{name}>" for name, text in queue.items()) for queue in queues)
    return "<Response>" + "".join(f"<QueueList>{node}</QueueList>" for node in nodes) + "</Response>"


def test_the_emulators_queues_with_their_servers():
    queues = (
        QueueSpec("one", 3, (("Translation", 1.0),)),
        QueueSpec("two", 7, (("SpeechRecognition", 1.0),)),
    )
    with Emulator(scenario=Scenario(jobs=10, queues=queues, incident=None)) as emulator:
        found = list_queues(client=emulator.client())
        assert found["queue_id"].tolist() == emulator.queue_ids
    assert found["name"].tolist() == ["one", "two"]
    assert found["max_concurrent"].tolist() == [3, 7]
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == DTYPES


def test_all_pages_are_read_though_the_service_makes_them_short(wire):
    names = [f"p{number}" for number in range(25)]

    def answer(url, _headers):
        number = int(url.partition("pageNumber=")[2].partition("&")[0])
        return wire.reply(
            body=queues_xml(*({"QueueId": name} for name in names[10 * number - 10 : 10 * number]))
        )

    assert list_queues(client=wire.client_of(answer))["queue_id"].tolist() == names


def test_a_service_that_ignores_pages_is_asked_twice(wire):
    client = wire.client_of(lambda *_: wire.reply(body=queues_xml({"QueueId": "p1"}, {"QueueId": "p2"})))
    assert list_queues(client=client)["queue_id"].tolist() == ["p1", "p2"]
    assert len(client.fake.asked) == 2


def test_what_is_missing_or_odd_is_missing(wire):
    odd = {"QueueId": "p1", "MaxSize": "many", "CreateTime": "2022-08-09T16:23:11+0800&gt;"}
    client = wire.client_of(lambda *_: wire.reply(body=queues_xml(odd)))
    [row] = list_queues(client=client).to_dict("records")
    assert row["queue_id"] == "p1"
    assert all(pd.isna(row[name]) for name in DTYPES if name not in ("queue_id", "bucket"))


@pytest.mark.parametrize("body", ["<Response/>", "<Response><TotalCount>0</TotalCount></Response>"])
def test_no_queues_are_an_empty_frame(wire, body):
    found = list_queues(client=wire.client_of(lambda *_: wire.reply(body=body)))
    assert {name: str(dtype) for name, dtype in found.dtypes.items()} == DTYPES
    assert found.empty
