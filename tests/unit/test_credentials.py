"""Where credentials come from, and that no view of anything shows them."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import pprint
import traceback
from unittest import mock

import pytest
from qcloud_cos import CosConfig

from cosai_nb.errors import (
    AnswerError,
    CosaiError,
    CredentialsError,
    DeniedError,
    SettingsError,
    UnavailableError,
)
from cosai_nb.service.client import Client
from cosai_nb.service.credentials import (
    Credentials,
    Secret,
    cos_conf,
    from_cos_config,
    from_environment,
    renewed,
    wrapped,
)
from cosai_nb.service.engine import Route
from cosai_nb.service.parsing import parse_jobs

ID, KEY, TOKEN = "AKIDhiddenhidden0123", "KEYhiddenhidden4567", "TOK/hidden+hidden=="
SECRETS = {"secret_id": ID, "secret_key": KEY, "token": TOKEN}
BUCKET = {"bucket": "test-1234567890", "region": "ap-beijing"}
NAMES = [
    f"{family}_{name}" for family in ("COS", "TENCENTCLOUD") for name in ("SECRET_ID", "SECRET_KEY", "TOKEN")
] + ["COSAI_BUCKET", "COSAI_REGION", "COSAI_ENDPOINT"]


def revealed(credentials: Credentials) -> tuple[str | None, ...]:
    return tuple(secret and secret.reveal() for secret in credentials)


def walk(thing: object, depth: int = 6, seen: set[int] | None = None) -> list[object]:
    """Everything that a debugger's tree view would unfold."""
    seen = set() if seen is None else seen
    if depth == 0 or id(thing) in seen:
        return []
    seen.add(id(thing))
    below: list[object] = []
    if isinstance(thing, dict):
        below += [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        below += list(thing)
    below += list(getattr(thing, "__dict__", {}).values())
    below += [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
    return [thing, *(found for item in below for found in walk(item, depth - 1, seen))]


def views(thing: object) -> str:
    texts = [repr(thing), str(thing), f"{thing}", "%s %r" % (thing, thing), pprint.pformat(thing)]  # noqa: UP031 - one of the ways to show
    texts += [repr(item) for item in walk(thing)]
    return "\n".join(texts)


def verbose(error: BaseException) -> str:
    """What IPython's ``%xmode Verbose`` prints: every frame with its locals, causes and contexts too."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()) + views(
        error
    )


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__cause__), *chain(error.__context__)]


def assert_clean(text: str) -> None:
    for secret in (ID, KEY, TOKEN, "TOK%2Fhidden", KEY[:12], "q-signature=a"):
        at = text.find(secret)
        assert at < 0, f"{secret!r} shows: …{text[max(0, at - 300) : at + 40]}…"


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An environment without credentials, and a home of its own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


# ---- where they come from


def found_in(environ):
    with mock.patch.dict("os.environ", environ):
        return from_environment()


def test_cos_names_win_over_tencentcloud_names_over_the_file(bare):
    (bare / ".cos.conf").write_text("[common]\nsecret_id = f-id\nsecret_key = f-key\ntoken = f-token\n")
    cloud = {
        "TENCENTCLOUD_SECRET_ID": "t-id",
        "TENCENTCLOUD_SECRET_KEY": "t-key",
        "TENCENTCLOUD_TOKEN": "t-token",
    }
    cos = {"COS_SECRET_ID": "c-id", "COS_SECRET_KEY": "c-key"}
    assert revealed(found_in({**cloud, **cos})) == (
        "c-id",
        "c-key",
        None,
    )  # not another pair's token
    assert revealed(found_in({**cos, "COS_TOKEN": "c-token"})) == ("c-id", "c-key", "c-token")
    assert revealed(found_in(cloud)) == ("t-id", "t-key", "t-token")
    assert revealed(found_in({})) == ("f-id", "f-key", "f-token")


@pytest.mark.parametrize(
    "names",
    [
        ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SECURITY_TOKEN"),
        ("TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY", "TENCENTCLOUD_SESSION_TOKEN"),
        ("TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SESSIONTOKEN"),
    ],
)
def test_temporary_credentials_are_found_whole_under_their_other_usual_names(bare, names):
    environ = dict(zip(names, ("t-id", "t-key", "t-token"), strict=True))
    assert revealed(found_in(environ)) == ("t-id", "t-key", "t-token")
    other = {"COS_SECRET_ID": "c-id", "COS_SECRET_KEY": "c-key", names[2]: "t-token"}
    assert revealed(found_in(other)) == ("c-id", "c-key", None)  # all three are of one place


def test_without_a_home_folder_the_file_is_a_place_like_any_other(bare, monkeypatch):
    """A container that runs under any user ID has no HOME and no passwd entry."""
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(CredentialsError, match=r"~/\.cos\.conf \(this user has no home folder\)"):
        found_in({})
    assert revealed(found_in({"COS_SECRET_ID": "a", "COS_SECRET_KEY": "b"})) == ("a", "b", None)


@pytest.mark.parametrize("quote", ['"', "'", "`"])
@pytest.mark.parametrize("name", ["secret_id", "secret_key", "token"])
def test_a_value_pasted_with_its_quotes_is_refused_unseen(name, quote):
    bad = {**SECRETS, name: f"{quote}{SECRETS[name]}{quote}"}
    with pytest.raises(CredentialsError, match=rf"^{name} begins or ends with a quotation mark") as caught:
        Client(**BUCKET, **bad)
    assert_clean(verbose_below(caught.value))


def test_a_half_set_pair_is_not_mixed_with_another(bare):
    half = {"COS_SECRET_ID": "c-id", "TENCENTCLOUD_SECRET_ID": "t-id", "TENCENTCLOUD_SECRET_KEY": "t-key"}
    assert revealed(found_in(half)) == ("t-id", "t-key", None)


def test_what_was_looked_at_is_named_without_a_value(bare):
    with pytest.raises(CredentialsError) as caught:
        found_in({"COS_SECRET_ID": ID, "TENCENTCLOUD_SECRET_KEY": KEY, "COS_TOKEN": TOKEN})
    said = str(caught.value)
    for part in ("COS_SECRET_ID (set)", "COS_SECRET_KEY (not set)", "TENCENTCLOUD_SECRET_ID (not set)",
                 "TENCENTCLOUD_SECRET_KEY (set)", f"{bare / '.cos.conf'} (not there)"):  # fmt: skip
        assert part in said
    assert_clean(verbose_below(caught.value))


def test_an_empty_variable_is_not_set(bare):
    with pytest.raises(CredentialsError, match=r"COS_SECRET_ID \(not set\)"):
        found_in({"COS_SECRET_ID": "", "COS_SECRET_KEY": KEY})


def test_access_id_is_coscmds_old_name(bare):
    (bare / ".cos.conf").write_text("[common]\naccess_id = f-id\nsecret_key = f%key\n")
    assert revealed(found_in({})) == ("f-id", "f%key", None)


def test_a_file_with_a_byte_order_mark(bare):
    (bare / ".cos.conf").write_bytes(b"\xef\xbb\xbf[common]\nsecret_id = f-id\nsecret_key = f-key\n")
    assert revealed(found_in({})) == ("f-id", "f-key", None)


@pytest.mark.parametrize(
    "content", ["[common]\nsecret_id = x\n", "[other]\nsecret_id = x\nsecret_key = y\n", ""]
)
def test_a_file_without_a_pair(bare, content):
    (bare / ".cos.conf").write_text(content)
    with pytest.raises(CredentialsError, match=r"no secret_id and secret_key in \[common\]"):
        found_in({})


@pytest.mark.parametrize(
    "content",
    [
        f"secret_key = {KEY}\n".encode(),
        f"[common]\n{KEY}\n".encode(),
        f"[common]\nsecret_key = {KEY}\nsecret_key = {KEY}\n".encode(),
        b"\xff\xfe\x00" + KEY.encode("utf-16"),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(bare, content):
    (bare / ".cos.conf").write_bytes(content)
    with pytest.raises(CredentialsError, match="cannot be read as an INI file") as caught:
        found_in({})
    assert str(bare) in str(caught.value)
    assert_clean(verbose_below(caught.value))
    assert len(chain(caught.value)) == 1


def test_a_broken_file_is_not_read_where_the_environment_has_a_pair(bare):
    (bare / ".cos.conf").write_text(KEY)
    assert revealed(found_in({"COS_SECRET_ID": "a", "COS_SECRET_KEY": "b"})) == ("a", "b", None)
    with pytest.raises(CredentialsError):
        cos_conf()


@pytest.mark.parametrize("name", ["secret_id", "secret_key", "token"])
@pytest.mark.parametrize("damage", [" {}", "{}\n", "{}\r\nX-Evil: 1", "a b{}", "é{}", "\x7f{}"])
def test_what_cannot_stand_in_a_header_is_refused_unseen(name, damage):
    bad = {**SECRETS, name: damage.format(SECRETS[name])}
    with pytest.raises(CredentialsError, match=rf"^{name} holds a space, line break or non-ASCII") as caught:
        Client(**BUCKET, **bad)
    assert_clean(verbose_below(caught.value))


def verbose_below(error: BaseException) -> str:
    """As ``verbose``, without the frames of these tests, which hold the secrets on purpose."""
    frames = error.__traceback__
    while frames and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    return verbose(error.with_traceback(frames))


@pytest.mark.parametrize("value", ["", None, 5, b"key"])
def test_no_key_at_all(value):
    with pytest.raises(CredentialsError, match=r"^secret_key (is not set|holds)"):
        Client(**BUCKET, secret_id=ID, secret_key=value)


def test_settings_that_fail_show_no_key():
    for wrong in ({"bucket": "x"}, {"region": "?"}, {"rate": -1}, {"endpoint": "http://x/y"}):
        with pytest.raises(SettingsError) as caught:
            Client(**{**BUCKET, **SECRETS, **wrong})
        assert_clean(verbose_below(caught.value))


# ---- Client.from_env, Client.from_config


def test_from_env_takes_bucket_region_and_endpoint(bare, monkeypatch):
    for name, value in {"COS_SECRET_ID": ID, "COS_SECRET_KEY": KEY, "COSAI_BUCKET": "env-1", "COSAI_REGION": "ap-x",
                        "COSAI_ENDPOINT": "http://127.0.0.1:9"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = Client.from_env()
    assert (client.bucket, client.region, client.base_url) == ("env-1", "ap-x", "http://127.0.0.1:9")
    assert revealed(client._credentials) == (ID, KEY, None)
    own = Client.from_env(bucket="own-1", rate=5, token=TOKEN, endpoint="https://h")
    assert (own.bucket, own.region, own.base_url, own.pace.rate.now) == ("own-1", "ap-x", "https://h", 5)
    assert revealed(own._credentials) == (ID, KEY, TOKEN)


def test_from_env_with_its_own_pair_looks_nowhere_else(bare, monkeypatch):
    (bare / ".cos.conf").write_text("broken")
    monkeypatch.setenv("COS_TOKEN", "other")
    client = Client.from_env(**BUCKET, secret_id=ID, secret_key=KEY)
    assert revealed(client._credentials) == (ID, KEY, None)
    assert client._provider is None
    with pytest.raises(CredentialsError, match="secret_key is not set") as caught:
        Client.from_env(**BUCKET, secret_id=ID)
    assert_clean(verbose_below(caught.value))


def test_from_env_takes_bucket_and_region_of_coscmd(bare):
    (bare / ".cos.conf").write_text(
        "[common]\nsecret_id = f-id\nsecret_key = f-key\nbucket = conf-1\nregion = ap-conf\n"
    )
    client = Client.from_env()
    assert (client.bucket, client.region) == ("conf-1", "ap-conf")
    assert client.base_url == "https://conf-1.ci.ap-conf.myqcloud.com"


def test_coscmds_endpoint_stands_for_a_region(bare):
    (bare / ".cos.conf").write_text(
        "[common]\nsecret_id = f-id\nsecret_key = f-key\nbucket = conf-1\nendpoint = cos.ap-conf.myqcloud.com\n"
    )
    assert Client.from_env().base_url == "https://conf-1.ci.ap-conf.myqcloud.com"


def test_from_env_names_the_missing_bucket(bare, monkeypatch):
    monkeypatch.setenv("COS_SECRET_ID", ID)
    monkeypatch.setenv("COS_SECRET_KEY", KEY)
    with pytest.raises(SettingsError, match="COSAI_BUCKET") as caught:
        Client.from_env(token=TOKEN)
    assert_clean(verbose_below(caught.value))
    with pytest.raises(SettingsError, match="COSAI_REGION"):
        Client.from_env(bucket="demo-1")


def config_of(**settings):
    return CosConfig(**{"Region": "ap-beijing", "SecretId": ID, "SecretKey": KEY, **settings})


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://test-1234567890.ci.ap-beijing.myqcloud.com"),
        ({"Scheme": "http"}, "http://test-1234567890.ci.ap-beijing.myqcloud.com"),
        ({"EndpointCi": "ci.example.com"}, "https://test-1234567890.ci.example.com"),
        ({"IP": "10.0.0.7", "Scheme": "http"}, "http://10.0.0.7"),
        ({"IP": "10.0.0.7", "Port": 8080, "Scheme": "http"}, "http://10.0.0.7:8080"),
    ],
)
def test_from_config_goes_where_the_sdk_goes(settings, url):
    client = Client.from_config(config_of(**settings), bucket="test-1234567890")
    assert client.base_url == url
    assert (client.bucket, client.region) == ("test-1234567890", "ap-beijing")
    assert_clean(views(client))


def test_from_config_by_ip_still_names_the_bucket(wire):
    engine = wire.FakeEngine(lambda *_: wire.reply(200, wire.xml(["j1"])))
    config = config_of(IP="10.0.0.7", Port=8080, Scheme="http")
    client = Client.from_config(config, bucket="test-1234567890", engine=engine)
    client.ask("/ai_jobs/j1", parse_jobs)
    url, headers = engine.asked[0]
    assert url == "http://10.0.0.7:8080/ai_jobs/j1"
    assert headers["Host"] == "test-1234567890.ci.ap-beijing.myqcloud.com"
    assert "q-header-list=host" in headers["Authorization"]


def test_from_config_hands_on_proxies_verify_and_token():
    config = config_of(Proxies={"https": "http://proxy:3128"}, VerifySSL=False, Token=TOKEN)
    client = Client.from_config(config, bucket="test-1234567890", rate=3)
    route = Route.of(client.base_url, **client._network)
    assert route == (client.base_url, "http://proxy:3128", False)
    assert client.pace.rate.now == 3
    assert revealed(client._credentials) == (ID, KEY, TOKEN)


def test_from_config_settings_win(bare):
    client = Client.from_config(
        config_of(), bucket="test-1234567890", endpoint="http://127.0.0.1:9", token=TOKEN
    )
    assert client.base_url == "http://127.0.0.1:9"
    assert revealed(client._credentials) == (ID, KEY, TOKEN)
    with pytest.raises(SettingsError) as caught:
        Client.from_config(config_of(), bucket="test-1234567890", token=TOKEN, rate=-1)
    assert_clean(verbose_below(caught.value))


class Rotating:
    """A CredentialInstance whose values change with every look."""

    turn = 0

    @property
    def secret_id(self):
        self.turn += 1
        return f"id{self.turn}"

    secret_key = "key"
    token = "token"


def test_a_credential_instance_is_asked_again():
    config = CosConfig(Region="ap-beijing", CredentialInstance=Rotating())
    client = Client.from_config(config, bucket="test-1234567890")
    first, again = revealed(client._credentials), revealed(client._provider())
    assert first[1:] == again[1:] == ("key", "token")
    assert first[0] < again[0]


def test_an_anonymous_config_is_refused():
    with pytest.raises(CredentialsError, match="anonymous"):
        from_cos_config(CosConfig(Region="ap-beijing", Anonymous=True))


# ---- that nothing shows them


@pytest.fixture
def client(wire):
    return wire.client_of(lambda *_: wire.reply(200, wire.xml(["j1"])), **SECRETS)


def test_a_secret_shows_stars_only():
    secret = Secret(KEY)
    assert secret.reveal() == KEY
    assert_clean(
        views(secret) + views([secret]) + views({"a": secret}) + views(Credentials.of(ID, KEY, TOKEN))
    )
    with pytest.raises(TypeError):
        f"{secret:>10}"


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_and_client_can_be_neither_pickled_nor_copied(client, act):
    for thing in (Secret(KEY), client):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            act(thing)
        assert_clean(verbose_below(caught.value))


def test_no_view_of_a_client_shows_them(client):
    client.ask("/ai_jobs/j1", parse_jobs)
    client.fake.asked.clear()
    assert_clean(views(client))
    assert "secret_key=set" in repr(client)
    assert "token=set" in repr(client)


def test_wrapped_settings_show_nothing():
    assert_clean(views(wrapped({**SECRETS, "bucket": "b"})))
    assert wrapped({"token": None, "bucket": "b"}) == {"token": None, "bucket": "b"}


def test_scrub_knows_the_percent_encoded_form_too():
    credentials = Credentials.of(ID, KEY, TOKEN)
    assert credentials.scrub(f"{ID}|{KEY}|{TOKEN}|TOK%2Fhidden%2Bhidden%3D%3D") == "***|***|***|***"


ECHO = f"it is {ID} {KEY} {TOKEN} Authorization: q-sign-algorithm=sha1&q-ak={ID}&q-signature=abc"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, f"<Error><Code>SignatureDoesNotMatch</Code><Message>{ECHO}</Message></Error>", DeniedError),
        (
            403,
            f"<Error><Code>{KEY}</Code><Message>x</Message><RequestId>{KEY}</RequestId></Error>",
            DeniedError,
        ),
        (500, f"<html>{ECHO}</html>", UnavailableError),
        (500, f'{{"Code": "{KEY}", "Message": "{ECHO}"}}', UnavailableError),
        (200, f"<html>{ECHO}</html>", AnswerError),
        (200, f'{{"Code": "{KEY}", "Message": "{ECHO}"}}', AnswerError),
        (200, f"<Response><{KEY}>", AnswerError),
        (200, "x" * 290 + KEY, AnswerError),
        (302, "", DeniedError),
    ],
)
def test_a_service_that_quotes_the_key_is_not_quoted(wire, caplog, status, body, kind):
    caplog.set_level(logging.DEBUG)
    headers = {"Location": f"https://evil.example/?k={KEY}&t={TOKEN}", "x-ci-request-id": KEY}
    client = wire.client_of(lambda *_: wire.reply(status, body, **headers), **SECRETS)
    with pytest.raises(kind) as caught:
        client.ask("/ai_jobs/j1", parse_jobs)
    client.fake.asked.clear()
    for error in chain(caught.value):
        assert_clean(verbose_below(error) + views(error))
    assert_clean(caplog.text)


def test_a_log_of_everything_holds_no_key(client):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in list(root.manager.loggerDict))]
    before = [logger.level for logger in loggers]
    root.addHandler(handler)
    try:
        for logger in loggers:
            logger.setLevel(1)
        client.ask("/ai_jobs/j1", parse_jobs)
    finally:
        root.removeHandler(handler)
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
    assert_clean(stream.getvalue())


def test_no_secret_in_a_url(wire, client):
    client.ask("/ai_jobs/j1", parse_jobs, params={"tag": "Translation"})
    assert_clean(client.fake.asked[0][0])
    assert client.fake.asked[0][1]["x-ci-security-token"] == TOKEN


# ---- expired credentials


def test_what_a_provider_raises_is_not_quoted():
    def provider():
        raise RuntimeError(f"STS said {KEY}")

    with pytest.raises(CredentialsError, match="RuntimeError") as caught:
        renewed(provider)
    assert len(chain(caught.value)) == 1
    assert_clean(verbose_below(caught.value))


def test_a_providers_own_cosai_error_comes_through():
    def provider():
        raise CredentialsError("log in again")

    with pytest.raises(CosaiError, match="log in again"):
        renewed(provider)


def test_a_provider_that_returns_a_broken_pair():
    with pytest.raises(CredentialsError, match="secret_key is not set"):
        renewed(lambda: Credentials.of(ID, ""))
    with pytest.raises(CredentialsError, match="AttributeError"):
        renewed(lambda: (ID, KEY))
