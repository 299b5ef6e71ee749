"""Jobs, queues and errors as the XML of the documents (api.md §1.3, §1.4, §2, §4).

Element names are written here from the documents, and not shared with the client that reads them: a wrong name
must not be green because both sides made the same mistake.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from cosai_nb.emulator.scenario import WIRE_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cosai_nb.emulator.details import Details

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
Node = tuple[str, "str | list[Node] | None"]


class Refused(Exception):  # noqa: N818 - it becomes an answer, it is no error of the emulator
    """A documented error, on its way to become an answer: HTTP status, Code and Message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def invalid(message: str) -> Refused:
    """Return the error for a parameter that cannot be right."""
    return Refused(400, "InvalidArgument", message)


@dataclass(frozen=True, slots=True)
class JobView:
    """One job as shown at one instant; times in whole seconds since the epoch, None where not reached."""

    job_id: str
    tag: str
    state: str
    code: str
    message: str
    creation_time: int
    start_time: int | None
    end_time: int | None
    queue_id: str
    job_level: int
    audio_s: float
    details: Details


@dataclass(frozen=True, slots=True)
class QueueView:
    """One queue as shown at one instant."""

    queue_id: str
    name: str
    state: str
    max_concurrent: int
    category: str
    created: int


def xml(node: Node) -> str:
    """Write a node and what is below it; text is escaped."""
    name, content = node
    if not content:
        return f"<{name}/>"
    inner = escape(content) if isinstance(content, str) else "".join(map(xml, content))
    return f"<{name}>{inner}</{name}>"


def wire_time(seconds: int | None) -> str:
    """Write a time in +0800, and ``-`` for one that is not reached.

    >>> wire_time(1657167132), wire_time(None)
    ('2022-07-07T12:12:12+0800', '-')
    """
    if seconds is None:
        return "-"
    text = datetime.fromtimestamp(seconds, WIRE_ZONE).isoformat()  # five times as fast as strftime
    return text[:-3] + text[-2:]


def http_date(seconds: float) -> str:
    """Write a Date header.

    >>> http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def job_xml(job: JobView, *, bucket: str, region: str) -> bytes:
    """Return the JobsDetail of one job."""
    return xml(
        (
            "JobsDetail",
            [
                ("Code", job.code),
                ("Message", job.message),
                ("JobId", job.job_id),
                ("State", job.state),
                ("CreationTime", wire_time(job.creation_time)),
                ("StartTime", wire_time(job.start_time)),
                ("EndTime", wire_time(job.end_time)),
                ("QueueId", job.queue_id),
                ("Tag", job.tag),
                ("Input", _input(job, bucket, region)),
                ("Operation", _operation(job, bucket, region)),
            ],
        )
    ).encode()


def response(jobs: Iterable[bytes], missing: Sequence[str] = (), next_token: str | None = None) -> bytes:
    """Return an answer; NonExistJobIds is left out when all exist, NextToken when None.

    The form of a filled NonExistJobIds is not documented: several are one node with commas here.
    """
    tail = xml(("NonExistJobIds", ",".join(missing))) if missing else ""
    if next_token is not None:
        tail += xml(("NextToken", next_token))
    return DECLARATION + b"<Response>" + b"".join(jobs) + tail.encode() + b"</Response>"


def queues_xml(
    queues: Iterable[QueueView],
    missing: Iterable[str],
    *,
    request_id: str,
    bucket: str,
    paging: tuple[int, int, int] | None,
) -> bytes:
    """Return the answer of ``GET /ai_queue``; ``paging`` (total, number, size) is left out when IDs were asked."""
    names = ("TotalCount", "PageNumber", "PageSize")
    counts: list[Node] = [(name, str(value)) for name, value in zip(names, paging or (), strict=False)]
    lists: list[Node] = [("QueueList", _queue(queue, bucket)) for queue in queues]
    unknown: list[Node] = [("NonExistPIDs", queue_id) for queue_id in missing]
    return DECLARATION + xml(("Response", [("RequestId", request_id), *counts, *lists, *unknown])).encode()


def error_xml(code: str, message: str, *, request_id: str, trace_id: str) -> bytes:
    """Return an error's body; CI's has no Resource."""
    nodes: list[Node] = [
        ("Code", code),
        ("Message", message),
        ("RequestId", request_id),
        ("TraceId", trace_id),
    ]
    return b"<?xml version='1.0' encoding='utf-8' ?>\n" + xml(("Error", nodes)).encode()


def _queue(queue: QueueView, bucket: str) -> list[Node]:
    return [
        ("QueueId", queue.queue_id),
        ("Name", queue.name),
        ("State", queue.state),
        ("NotifyConfig", [("Url", None), ("Event", None), ("Type", None), ("State", "Off")]),
        ("MaxSize", "10000"),
        ("MaxConcurrent", str(queue.max_concurrent)),
        ("CreateTime", wire_time(queue.created)),
        ("UpdateTime", wire_time(queue.created)),
        ("BucketId", bucket),
        ("Category", queue.category),
    ]


def _input(job: JobView, bucket: str, region: str) -> list[Node]:
    about = job.details
    nodes: list[Node] = [("BucketId", bucket), ("Region", region), ("Object", about.input_object)]
    if job.tag == "Translation":
        nodes += [("Lang", about.input_lang), ("Type", about.input_type)]
        if about.basic_type:
            nodes.append(("BasicType", about.basic_type))
    return nodes


def _operation(job: JobView, bucket: str, region: str) -> list[Node]:
    about = job.details
    echo = {"Translation": _translation, "SpeechRecognition": _speech}.get(job.tag, _words)
    nodes = echo(job)
    if about.output_object:
        place: list[Node] = [("Region", region), ("Bucket", bucket), ("Object", about.output_object)]
        nodes.append(("Output", place))
    return [*nodes, ("UserData", about.user_data), ("JobLevel", str(job.job_level))]


def _translation(job: JobView) -> list[Node]:
    about = job.details
    nodes: list[Node] = [("Translation", [("Lang", about.target_lang), ("Type", about.target_type)])]
    if about.input_type == "png":
        nodes.append(("NoNeedOutput", "true"))
        if job.state == "Success":
            nodes.append(("AITranslateResult", [("Result", "A <short> text & its translation")]))
    return nodes


def _words(job: JobView) -> list[Node]:
    nodes: list[Node] = [("WordsGeneralize", [("NerMethod", "DL"), ("SegMethod", "MIX")])]
    if job.state == "Success":
        labels: list[Node] = [("WordsGeneralizeLable", [("Category", "地点"), ("Word", "深圳")])]
        nodes.append(("WordsGeneralizeResult", labels + _TOKENS))
    return nodes


_TOKENS: list[Node] = [
    ("WordsGeneralizeToken", [("Word", word), ("Offset", offset), ("Length", length), ("Pos", pos)])
    for word, offset, length, pos in (
        ("明天", "0", "2", "t"),
        ("去", "2", "1", "v"),
        ("深圳", "3", "2", "ns"),
    )
]


def _speech(job: JobView) -> list[Node]:
    about = job.details
    request: list[Node] = [
        ("EngineModelType", about.engine_model),
        ("ChannelNum", "1"),
        ("ResTextFormat", about.res_text_format),
        ("FilterDirty", "0"),
        ("FilterModal", "0"),
        ("ConvertNumMode", "1"),
        ("FilterPunc", "0"),
        ("OutputFileType", "txt"),
    ]
    if about.flash:
        request += [("FlashAsr", "true"), ("Format", about.input_object.rpartition(".")[2])]
    nodes: list[Node] = [("SpeechRecognition", request)]
    if job.state == "Success":
        nodes.append(("SpeechRecognitionResult", _recognised(job)))
    return nodes


def _recognised(job: JobView) -> list[Node]:
    about = job.details
    nodes: list[Node] = [
        ("AudioTime", f"{job.audio_s:.2f}"),
        ("Result", "[0:0.120,0:0.480]  你好，世界 <&>。\n"),
        ("ObjectName", about.output_object),
        ("DetailObjectName", f"{about.output_object}.detail"),
    ]
    if about.flash:
        nodes.append(("FlashResult", _FLASH))
    detailed = about.res_text_format != "0"
    return [*nodes, ("ResultDetail", _SENTENCE if detailed else None)]


def _word(word: str, start: str, end: str, voice: str) -> Node:
    return (
        "Words",
        [("Word", word), ("OffsetStartMs", start), ("OffsetEndMs", end), ("VoiceType", voice)],
    )


_SENTENCE: list[Node] = [
    ("FinalSentence", "你好，世界 <&>。"),
    ("SliceSentence", "你好 ， 世界 。"),
    ("StartMs", "120"),
    ("EndMs", "480"),
    ("WordsNum", "2"),
    ("SpeechSpeed", "11.1"),
    ("SpeakerId", "0"),
    _word("你好", "0", "160", "0"),
    _word("，", "160", "170", "1"),
    _word("世界", "170", "350", "0"),
]
_FLASH: list[Node] = [
    ("channel_id", "0"),
    ("text", "你好，世界。"),
    (
        "sentence_list",
        [
            ("text", "你好，世界。"),
            ("start_time", "120"),
            ("end_time", "480"),
            ("speaker_id", "0"),
            ("word_list", [("word", "你好"), ("start_time", "120"), ("end_time", "280")]),
            ("word_list", [("word", "世界"), ("start_time", "290"), ("end_time", "470")]),
        ],
    ),
]
