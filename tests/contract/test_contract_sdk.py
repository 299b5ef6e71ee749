"""The official Python SDK, with its own signer and its own XML reader, against the emulator."""

import pytest
from qcloud_cos import CosConfig, CosS3Client, CosServiceError

from cosai_nb.emulator import Emulator
from cosai_nb.emulator.workload import STATES


@pytest.fixture(scope="module")
def emulator():
    with Emulator(seed=7) as running:
        yield running


def sdk(emulator, *, token=None, **wrong):
    """Return the SDK's client, led to the emulator by IP and port; the Host header stays the bucket's."""
    environment = emulator.environment()
    settings = {
        "Region": emulator.region,
        "SecretId": environment["COS_SECRET_ID"],
        "SecretKey": environment["COS_SECRET_KEY"],
        "Token": token,
        "Scheme": "http",
        "IP": "127.0.0.1",
        "Port": emulator.port,
    }
    return CosS3Client(CosConfig(**{**settings, **wrong}), retry=0)


@pytest.fixture(scope="module")
def client(emulator):
    return sdk(emulator)


@pytest.mark.parametrize("tag", ["Translation", "SpeechRecognition", "WordsGeneralize"])
def test_jobs_of_every_tag_and_state(emulator, client, tag):
    truth, snapshot = emulator.truth, emulator.snapshot()
    read = set()
    for state, name in enumerate(STATES):
        ids = truth["job_id"][(truth["tag"] == tag) & (snapshot.state == state)][:10].tolist()
        if not ids:
            continue
        jobs = client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=",".join(ids))["JobsDetail"]
        assert [job["JobId"] for job in jobs] == ids
        assert {(job["State"], job["Tag"]) for job in jobs} == {(name, tag)}
        assert all(tag in job["Operation"] for job in jobs)
        assert (
            all((f"{tag}Result" in job["Operation"]) == (name == "Success") for job in jobs)
            or tag == "Translation"
        )
        read.add(name)
    assert {"Success", "Failed"} <= read


def test_texts_come_through_the_sdk_s_reader(emulator, client):
    numbers = [n for n, job_id in enumerate(emulator.job_ids) if job_id[0] == "a"][:10]
    ids = [emulator.job_ids[n] for n in numbers]
    jobs = client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=",".join(ids))["JobsDetail"]
    assert [job["Input"]["Object"] for job in jobs] == emulator.truth["input_object"][numbers].tolist()
    assert [job["QueueId"] for job in jobs] == emulator.truth["queue_id"][numbers].tolist()


def test_one_job_and_an_unknown_one(emulator, client):
    known = emulator.job_ids[0]
    answer = client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=f"{known},a0123")
    assert [job["JobId"] for job in answer["JobsDetail"]] == [known]
    assert answer["NonExistJobIds"] == "a0123"
    assert "JobsDetail" not in client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs="a0123")


@pytest.mark.parametrize("path", ["/jobs", "/ai_jobs"])
def test_a_list_is_paged_by_the_sdk(emulator, client, path):
    found, token = [], ""
    for _ in range(3):
        page = client.ci_list_media_jobs(
            Bucket=emulator.bucket,
            Tag="SpeechRecognition",
            QueueId=emulator.queue_ids[1],
            StartCreationTime="2026-11-04T00:00:00+0800",
            EndCreationTime="2026-11-05T00:00:00+0800",
            Size=100,
            NextToken=token,
            Path=path,
        )
        found += [job["CreationTime"] for job in page["JobsDetail"]]
        token = page["NextToken"]
    assert len(found) == 300
    assert found == sorted(found, reverse=True)
    assert all(time.startswith("2026-11-04") for time in found)


def test_queues(emulator, client):
    answer = client.ci_get_ai_queue(Bucket=emulator.bucket)
    assert [queue["QueueId"] for queue in answer["QueueList"]] == emulator.queue_ids
    assert [queue["MaxConcurrent"] for queue in answer["QueueList"]] == ["10", "6", "2"]
    paused = client.ci_get_ai_queue(Bucket=emulator.bucket, State="Paused")["QueueList"]
    assert [queue["QueueId"] for queue in paused] == emulator.queue_ids[2:]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"SecretKey": "wrong"}, "InvalidAuthorization"), ({"SecretId": "AKIDwrong"}, "SecretidNotExist")],
)
def test_a_wrong_key_is_refused(emulator, wrong, code):
    with pytest.raises(CosServiceError) as caught:
        sdk(emulator, **wrong).ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=emulator.job_ids[0])
    assert caught.value.get_status_code() == 401
    assert code in caught.value.get_origin_msg()  # the SDK cannot read a body without Resource (api.md §6)


def test_too_many_jobs_are_refused(emulator, client):
    ids = [job_id for job_id in emulator.job_ids if job_id[0] == "a"][:11]
    with pytest.raises(CosServiceError) as caught:
        client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=",".join(ids))
    assert caught.value.get_status_code() == 400


def test_temporary_credentials():
    with Emulator(token="TOKEN/+=") as emulator:
        with_token = sdk(emulator, token="TOKEN/+=")
        answer = with_token.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=emulator.job_ids[0])
        assert answer["JobsDetail"][0]["JobId"] == emulator.job_ids[0]
        with pytest.raises(CosServiceError) as caught:
            sdk(emulator).ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=emulator.job_ids[0])
        assert caught.value.get_status_code() == 403


@pytest.mark.parametrize("settings", [{"SignHost": False}, {"SignParams": False}, {"KeepAlive": False}])
def test_other_ways_of_signing_and_connecting(emulator, settings):
    answer = sdk(emulator, **settings).ci_get_ai_queue(Bucket=emulator.bucket)
    assert answer["TotalCount"] == "3"


def test_led_by_endpoint_instead_of_ip(emulator):
    """With a Domain, Host is 127.0.0.1:port and the SDK signs it without the port."""
    client = sdk(emulator, IP=None, Port=None, Domain=f"127.0.0.1:{emulator.port}")
    answer = client.ci_get_media_jobs(Bucket=emulator.bucket, JobIDs=emulator.job_ids[0])
    assert answer["JobsDetail"][0]["JobId"] == emulator.job_ids[0]
