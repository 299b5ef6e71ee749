"""What a caller may say, read in one place: functions and the command line share every rule, grammar and sentence.

::

    duration = number | (number unit)+      unit = "d" | "h" | "m" | "min" | "s"; a bare number is seconds
    share    = number | number "%"          from 0 to 1, or 0 % to 100 %
    limit    = duration ":" share           95 % of the jobs within ten minutes: "10m:95%"
    zone     = IANA name | "UTC" | ("+" | "-") hh [":"] mm
    moment   = ISO date or time | duration with a unit, which is that long before now
    markers  = {time: text} | [(time, text), …] | frame with columns time and text; time = ISO text, date or datetime
    prices   = {tag: (price, unit)} | frame with columns tag, price and unit; unit = [number] "job" | "audio hour" | "character" | "page"
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cosai_nb.errors import SettingsError
from cosai_nb.schema import COLUMNS, State

MAX_LIST = 10
"""IDs a request, the most that the service documents."""
SERVICE_ZONE = timezone(timedelta(hours=8))
"""The service's own time, which texts and dates without a zone are in."""

_MOST = 1e9
_MOST_WORKERS = 1_000  # the requests engine has a thread for each, and machines have some thousands at most
_SHOWN = 60  # characters of a value that is refused
_FIRST_YEAR, _LAST_YEAR = 1970, 9998  # a bound of year 1 or 9999 has no neighbour, or none in another zone

_NUMBER = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_DURATION = re.compile("".join(rf"(?:({_NUMBER})\s*{unit}\s*)?" for unit in ("d", "h", "m(?:in)?", "s")))
_UNITS_S = (86_400, 3_600, 60, 1)
_SHARE = re.compile(rf"({_NUMBER})\s*(%?)")
_OFFSET = re.compile(r"(?:UTC)?([+-])((?:[01][0-9]|2[0-3])):?([0-5][0-9])")
_UNIT = re.compile(r"(?:([0-9][0-9,]*)\s*)?(job|audio[ _]hour|character|page)s?")
_WIRE_TIME = re.compile(
    r"((?:19[7-9]|2[01][0-9])[0-9]-[0-9]{2}-[0-9]{2}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.[0-9]+)?"
    r"(Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
)
_ENDPOINT = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[\w-]{1,63}(?:\.[\w-]{1,63})*)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)
_NODE_PATH = re.compile(r"[A-Za-z_][\w.-]*(?:/[A-Za-z_][\w.-]*)*", re.ASCII)


def _is_number(value: Any, kind: Any = Real) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and 0 < value <= _MOST


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple | list) and len(value) == 2  # noqa: PLR2004 - a pair


def _is_list(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str)


def _are_nodes(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and name.strip() and isinstance(path, str) and _NODE_PATH.fullmatch(path)
        for name, path in value.items()
    )


def _is_engine(value: Any) -> bool:
    return value in ("requests", "curl") or _fits({"start", "collect", "close"}, value)


def _one_or_many(pattern: str) -> Callable[[Any], bool]:
    return lambda value: all(
        isinstance(text, str) and re.fullmatch(pattern, text)
        for text in (value if _is_list(value) and len(value) else [value])
    )


_Rule = str | range | type | set[str] | Callable[[Any], bool]
# What fits: a text of this pattern, a whole number of this range, a value of this type, an object with these methods, or
# what the function says. A sentence that says None admits None.
_RULES: dict[str, tuple[_Rule, str]] = {
    # a bucket is a label of a host name, which has at most 63 characters
    "bucket": (
        r"(?=.{3,63}\Z)[a-z0-9][a-z0-9-]*-[0-9]{1,20}",
        "be of the form BucketName-APPID, such as demo-1250000000",
    ),
    "region": (r"[a-z0-9][a-z0-9-]{0,60}", "be a region such as ap-beijing"),
    "endpoint": (str, "be a host, host:port or URL, or None"),
    "scheme": ("https?", "be 'https' or 'http'"),
    "family": ("ai|media|asr|doc|pic|file", "be one of ai, media, asr, doc, pic and file"),
    "path": (r"(/[A-Za-z0-9_-]+)+", "be /ai_jobs, /jobs or a sibling of them"),
    "engine": (_is_engine, "be 'requests', 'curl' or None"),
    "rate": (_is_above_0, "be requests a second, a number above 0, or None"),
    "timeout": (_is_above_0, "be seconds, a number above 0"),
    "patience": (_is_above_0, "be seconds, a number above 0"),
    "provider": (callable, "be a function that returns Credentials, or None"),
    "clock": ({"monotonic", "time", "sleep", "random"}, "be a Clock, or None"),
    "config": (lambda value: hasattr(value, "_endpoint_ci"), "be a qcloud_cos.CosConfig"),
    "client": ({"ask"}, "be a cosai_nb.Client, or None for Client.from_env()"),
    "batch_size": (
        range(1, MAX_LIST + 1),
        f"be a whole number from 1 to {MAX_LIST}, the most that the service documents",
    ),
    "workers": (range(1, _MOST_WORKERS + 1), f"be a whole number from 1 to {_MOST_WORKERS:,}"),
    "every": (
        lambda value: _is_above_0(_seconds_of(value)),
        "be seconds above 0, or a duration such as '30s'",
    ),
    "deadline": (
        lambda value: _seconds_of(value) is not None,
        "be seconds, a number from 0 up, a duration such as '90s' or '1m30s', or None",
    ),
    "progress": (bool, "be True, False or None"),
    "strict": (bool, "be True or False"),
    "tag": (
        _one_or_many(r"[A-Za-z0-9_-]{1,128}"),
        "be a kind of job (letters, digits, - and _), a list of them, or None",
    ),
    "queue_id": (
        _one_or_many(r"[\w*-]{1,128}"),
        "be a queue's ID or name (letters, digits, -, _ and *), a list of them, or None",
    ),
    "states": (
        lambda value: _is_list(value) and set(map(str, value)) <= {*State},
        f"be a list of states, each one of {', '.join(State)}, or None",
    ),
    "columns": (
        _are_nodes,
        "map new columns to paths below JobsDetail, as in {'bitrate': 'Operation/MediaInfo/Format/Bitrate'}, or be None",
    ),
}
_NAMES_TAKEN = frozenset({*COLUMNS, "queue_name"})


def check(**arguments: object) -> None:
    """Raise SettingsError at the first argument that breaks the rule of its name.

    Examples
    --------
    >>> check(workers=16, deadline="1m30s")
    >>> check(workers="16")
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: workers='16' must be a whole number from 1 to 1,000.
    """
    for name, value in arguments.items():
        rule, wanted = _RULES[name]
        if not (_fits(rule, value) or (value is None and " None" in wanted)):
            raise _refusal(name, value, f"must {wanted}.")
        if name == "columns" and isinstance(value, Mapping):
            for taken in _NAMES_TAKEN.intersection(value):
                raise SettingsError(f"columns: {taken!r} hides a promised column; choose another name.")


def _fits(rule: _Rule, value: Any) -> bool:
    if isinstance(rule, str):
        return isinstance(value, str) and re.fullmatch(rule, value) is not None
    if isinstance(rule, range):
        return _is_number(value, Integral) and int(value) in rule
    if isinstance(rule, type):
        return isinstance(value, rule)
    if isinstance(rule, set):
        return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in rule)
    return rule(value)


def _refusal(name: str, value: object, wanted: str) -> SettingsError:
    shown = repr(value)
    return SettingsError(f"{name}={shown if len(shown) <= _SHOWN else f'{shown[:_SHOWN]}…'} {wanted}")


def duration(value: object, name: str) -> float:
    """Return the seconds of a duration: a number of seconds, a timedelta or a text.

    Examples
    --------
    >>> [duration(value, "deadline") for value in (90, "90", "1m30s", "2h", "7d", timedelta(minutes=1))]
    [90.0, 90.0, 90.0, 7200.0, 604800.0, 60.0]
    >>> duration("soon", "deadline")
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: deadline='soon' must be seconds from 0 up, or a duration such as 90s, 1m30s, 2h or 7d.
    """
    seconds = _seconds_of(value)
    if seconds is None:
        raise _refusal(name, value, "must be seconds from 0 up, or a duration such as 90s, 1m30s, 2h or 7d.")
    return seconds


def deadline_s(value: object) -> float:
    """Return the seconds of a ``deadline=``, infinity where there is none.

    Examples
    --------
    >>> deadline_s(None), deadline_s("2h")
    (inf, 7200.0)
    """
    return math.inf if value in (None, math.inf) else duration(value, "deadline")


def _seconds_of(value: Any) -> float | None:
    """Return the seconds of a duration, None where it is none."""
    if isinstance(value, str):
        value = value.strip()
        if re.fullmatch(_NUMBER, value):
            seconds = float(value)
        elif value and (found := _DURATION.fullmatch(value)):
            pairs = zip(found.groups(), _UNITS_S, strict=True)
            seconds = sum(float(number or 0) * unit for number, unit in pairs)
        else:
            return None
    elif isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif _is_number(value):
        seconds = float(value)
    else:
        return None
    return seconds if 0 <= seconds < math.inf else None


def share(value: object, name: str, *, above_0: bool = False) -> float:
    """Return a share from 0 (or above it) to 1, given as such or in percent.

    Examples
    --------
    >>> share(0.02, "target"), share("0.02", "target"), share("2%", "target")
    (0.02, 0.02, 0.02)
    >>> share(2, "target")
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: target=2 must be a share from 0 to 1: write 95 % as target=0.95 or target='95%'.
    """
    part = _part_of(value)
    if part is None or (above_0 and not part):
        span = "above 0 and at most 1" if above_0 else "from 0 to 1"
        raise _refusal(name, value, f"must be a share {span}: write 95 % as {name}=0.95 or {name}='95%'.")
    return part


def _part_of(value: Any) -> float | None:
    """Return a share, None where it is none."""
    part = math.nan
    if isinstance(value, str):
        if found := _SHARE.fullmatch(value.strip()):
            part = float(found[1]) / (100 if found[2] else 1)
    elif _is_number(value):
        part = float(value)
    return part if 0 <= part <= 1 else None


def limit(value: object, name: str) -> tuple[float, float]:
    """Return seconds and share of a limit: this share of the jobs within these seconds.

    Examples
    --------
    >>> limit("10m:95%", "slo"), limit("600:0.95", "slo"), limit((600, 0.95), "slo")
    ((600.0, 0.95), (600.0, 0.95), (600.0, 0.95))
    """
    parts: Any = value.split(":") if isinstance(value, str) else value
    if _is_pair(parts):
        seconds, part = _seconds_of(parts[0]), _part_of(parts[1])
        if seconds is not None and part:
            return seconds, part
    raise _refusal(name, value, "must be DURATION:SHARE, as in 10m:95% or 600:0.95.")


def zone(value: object, name: str = "tz") -> tzinfo:
    """Return a time zone given by its IANA name, as an offset or as a tzinfo.

    Examples
    --------
    >>> zone("Asia/Shanghai"), zone("+08:00") == zone("UTC+0800") == SERVICE_ZONE
    (zoneinfo.ZoneInfo(key='Asia/Shanghai'), True)
    """
    if isinstance(value, tzinfo):
        return value
    if value == "UTC":
        return UTC
    if isinstance(value, str) and (found := _OFFSET.fullmatch(value)):
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(value)  # type: ignore[arg-type]  # what is no text is refused below
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        forms = "a name like 'Asia/Shanghai' or 'UTC', or '+08:00'."
        raise _refusal(name, value, f"is no time zone that this machine knows; write {forms}") from None


def moment(value: object, name: str, *, now: float) -> int:
    """Return whole seconds since the epoch, rounded up: creation times have no fractions.

    Parameters
    ----------
    value : str, date, datetime or timedelta
        Texts and dates without a zone are in the service's own time (+0800); a datetime needs a zone. A duration with its
        unit (``"36h"``, ``"7d"``) or a timedelta is that long before ``now``.
    name : str
        The argument's name.
    now : float
        Seconds since the epoch.

    Examples
    --------
    >>> moment("1970-01-02", "start", now=0), moment("36h", "start", now=200_000.5)
    (57600, 70401)
    >>> moment("yesterday", "start", now=0)
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: start='yesterday' is no time: write it as '2026-11-01' or '2026-11-01T08:00:00+0800', or as '36h' or '7d' for that long ago.
    """
    is_span = isinstance(value, timedelta) or (isinstance(value, str) and not re.fullmatch(_NUMBER, value))
    ago = _seconds_of(value) if is_span else None
    if ago is None:
        when = _time_of(value)
    else:
        when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=max(now - ago, -1))
    if when is None:
        forms = "'2026-11-01' or '2026-11-01T08:00:00+0800', or as '36h' or '7d' for that long ago."
        raise _refusal(name, value, f"is no time: write it as {forms}")
    if when.tzinfo is None and isinstance(value, datetime):
        raise SettingsError(
            f"{name}={value!r} has no time zone: write {name}={value.isoformat()!r} as a text for the service's "
            "time (+0800), or give the datetime a tzinfo."
        )
    when = when if when.tzinfo else when.replace(tzinfo=SERVICE_ZONE)
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        raise SettingsError(
            f"{name}={value!s} is not in the years {_FIRST_YEAR} to {_LAST_YEAR}: no job was created then."
        )
    return -int(-when.timestamp() // 1)


def _time_of(value: Any) -> datetime | None:
    """Return the time that a text, date or datetime tells, with a zone where it tells one; None where it is none."""
    try:
        return datetime.fromisoformat(value.isoformat() if isinstance(value, date) else value)
    except (ValueError, TypeError):
        return None


def markers(value: Any, tz: object) -> list[tuple[datetime, str]]:
    """Return the markers of a plot over time, in order of time: deploys, incidents and what was said of them.

    Parameters
    ----------
    value : dict, frame or list of pairs
        Time → text; or a frame (pandas, polars, a dict of columns) with columns ``time`` and ``text``; or pairs of them.
    tz : str or tzinfo
        The zone of times that do not say theirs.

    Examples
    --------
    >>> [(str(time), text) for time, text in markers({"2026-11-03 10:00": "deploy v2"}, "+08:00")]
    [('2026-11-03 10:00:00+08:00', 'deploy v2')]
    >>> markers({"soon": "deploy"}, "UTC")
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: markers: 'soon' is no time; write it as '2026-11-01', '2026-11-01 08:00' or with its zone behind it.
    """
    pairs: Any = _rows_of(value, "time", "text")
    if pairs is None and not hasattr(value, "columns"):
        pairs = value.items() if hasattr(value, "items") else value if _is_list(value) else None
    if pairs is None:
        forms = "must map times to texts, be pairs of them, or a frame with columns time and text."
        raise _refusal("markers", value, forms)
    own = zone(tz)
    found = []
    for pair in pairs:
        if not _is_pair(pair):
            raise _refusal("markers", pair, "must be a pair of time and text.")
        time, text = pair
        found.append((_marker_time(time, own), "" if text is None or text != text else str(text)))  # noqa: PLR0124 - NaN
    return sorted(found, key=lambda marker: marker[0])


def _rows_of(value: Any, *names: str) -> Iterable[Any] | None:
    """Return the rows of a frame, or of a dict of columns, that has these; None where it is none."""
    columns = getattr(value, "columns", value if isinstance(value, Mapping) else ())
    return zip(*map(value.__getitem__, names), strict=True) if {*names} <= set(map(str, columns)) else None


def _marker_time(value: Any, own: tzinfo) -> datetime:
    """Return the time of a marker; one that says no zone is in ``own``."""
    when = _time_of(value.strip() if isinstance(value, str) else value)
    if when is None or not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        shown = repr(value)[:_SHOWN]
        raise SettingsError(
            f"markers: {shown} is no time; write it as '2026-11-01', '2026-11-01 08:00' or with its zone behind it."
        )
    return when if when.tzinfo else when.replace(tzinfo=own)


def prices(value: Any) -> dict[str, tuple[float, str]]:
    """Return the price of one unit by tag, and what is counted: jobs, audio_hours, characters or pages.

    Examples
    --------
    >>> prices({"SpeechRecognition": (1.2, "audio hour"), "Translation": (0.05, "1000 characters")})
    {'SpeechRecognition': (1.2, 'audio_hours'), 'Translation': (5e-05, 'characters')}
    >>> prices({"Tts": (1, "minute")})
    Traceback (most recent call last):
    cosai_nb.errors.SettingsError: prices: 'minute' of 'Tts' is no unit; write job, audio hour, character or page, or a number of them, as in '1000 characters'.
    """
    rows = _rows_of(value, "tag", "price", "unit")
    if rows is None and isinstance(value, Mapping) and all(map(_is_pair, value.values())):
        rows = ((tag, *pair) for tag, pair in value.items())
    if rows is None:
        forms = "must map tags to a price and its unit, as in {'SpeechRecognition': (1.2, 'audio hour')}, "
        raise _refusal("prices", value, f"{forms}or be a frame with the columns tag, price and unit.")
    found: dict[str, tuple[float, str]] = {}
    for tag, price, unit in rows:
        if not isinstance(tag, str) or tag in found:
            what = "has more than one price; keep one" if isinstance(tag, str) else "is no tag"
            raise SettingsError(f"prices: {tag!r} {what}.")
        amount = float(price) if _is_number(price) or isinstance(price, Decimal) else math.nan
        if not 0 <= amount < math.inf:
            raise SettingsError(f"prices: {price!r} of {tag!r} is no price; write a number from 0 up.")
        said = _UNIT.fullmatch(unit.strip()) if isinstance(unit, str) else None
        number = int((said[1] or "1").replace(",", "")) if said else 0
        if not said or not number:
            raise SettingsError(
                f"prices: {unit!r} of {tag!r} is no unit; write job, audio hour, character or page, or a number of them, "
                "as in '1000 characters'."
            )
        found[tag] = amount / number, said[2].replace(" ", "_") + "s"
    return found


def wire_seconds(text: str | None) -> int | None:
    """Return whole seconds since the epoch of a time as the service writes it, rounded down; None where it is none.

    The grammar is that of :mod:`cosai_nb.table.times`, which reads whole columns.

    Examples
    --------
    >>> wire_seconds("1970-01-01T08:00:07.9+0800"), wire_seconds("-"), wire_seconds("1970-01-01T00:00:00")
    (7, None, None)
    """
    found = _WIRE_TIME.fullmatch(text or "")
    if not found:
        return None
    try:
        return int(datetime.fromisoformat(found[1] + found[2]).timestamp())
    except ValueError:  # 30 February
        return None


def path(value: object) -> Path:
    """Return the path that a user named; ``~`` is home.

    Examples
    --------
    >>> path("jobs.csv")
    PosixPath('jobs.csv')
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    try:
        if not isinstance(text, str) or not text or b"\0" in os.fsencode(text):
            raise SettingsError(f"{value!r} is no path: name a file or folder by a text or a pathlib.Path.")
        return Path(text).expanduser()
    except UnicodeEncodeError:
        raise SettingsError(f"{value!r} is no path: this system cannot write its characters.") from None
    except RuntimeError:
        raise SettingsError(
            f"{value!r} is no path here: this user has no home folder; name the whole path."
        ) from None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was most likely meant, in any case; None where none is near.

    Examples
    --------
    >>> nearest("translaton", ["Translation", "SpeechRecognition"]), nearest("x", ["Translation"])
    ('Translation', None)
    """
    folded = {name.casefold(): name for name in known}
    return next((folded[name] for name in difflib.get_close_matches(word.casefold(), folded, 1)), None)


def base_url(endpoint: str, scheme: str) -> str:
    """Return scheme and host of an endpoint given as host, host:port or URL."""
    if "@" in endpoint:
        raise SettingsError("endpoint holds a login before '@': give the host alone; requests are signed.")
    url = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    found = _ENDPOINT.fullmatch(url.rstrip("/"))
    if not found or int(found["port"] or 1) not in range(1, 65536):
        raise SettingsError(f"endpoint={endpoint!r} must be a host, host:port or http(s) URL without a path.")
    return found[0]
