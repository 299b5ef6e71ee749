"""Jobs, queues and errors as the XML of the documents (api.md §1.3, §1.4, §2, §4).

Element names are written here from the documents, and not shared with the client that reads them: a wrong name
must not be green because both sides made the same mistake.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, TypeAlias
from xml.sax.saxutils import escape

from cosai_nb.emulator.workload import CODES, MESSAGES, NOT_YET, STATES, WIRE_ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cosai_nb.emulator.workload import Details, Snapshot, Workload

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
Content: TypeAlias = "str | Mapping[str, Content] | Sequence[Content] | None"
Nodes: TypeAlias = "Mapping[str, Content]"


class Refused(Exception):  # noqa: N818 - it becomes an answer, it is no error of the emulator
    """A documented error, on its way to become an answer: HTTP status, Code and Message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


def invalid(message: str) -> Refused:
    """Return the error for a parameter that cannot be right."""
    return Refused(400, "InvalidArgument", message)


def xml(name: str, content: Content) -> str:
    """Write a node and what is below it; text is escaped, and a list repeats the node.

    >>> xml("Response", {"Message": None, "Word": ["a", "<b>"]})
    '<Response><Message/><Word>a</Word><Word>&lt;b&gt;</Word></Response>'
    """
    if isinstance(content, str):
        return f"<{name}>{escape(content)}</{name}>" if content else f"<{name}/>"
    if not content:
        return f"<{name}/>" if content is None else ""
    if isinstance(content, dict):
        return f"<{name}>{''.join([xml(below, inner) for below, inner in content.items()])}</{name}>"
    return "".join([xml(name, inner) for inner in content])


def wire_time(seconds: int | None) -> str:
    """Write a time in +0800, and ``-`` for one that is not reached.

    >>> wire_time(1657167132), wire_time(None)
    ('2022-07-07T12:12:12+0800', '-')
    """
    if seconds is None or seconds == NOT_YET:
        return "-"
    text = datetime.fromtimestamp(seconds, WIRE_ZONE).isoformat()  # five times as fast as strftime
    return text[:-3] + text[-2:]


def http_date(seconds: float) -> str:
    """Write a Date header.

    >>> http_date(0)
    'Thu, 01 Jan 1970 00:00:00 GMT'
    """
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def job_xml(workload: Workload, snapshot: Snapshot, number: int, *, bucket: str, region: str) -> bytes:
    """Return the JobsDetail of one job as of a snapshot."""
    about, tag = workload.details(number), workload.scenario.tags[workload.tag[number]].name
    state, place = STATES[snapshot.state[number]], {"Region": region, "Bucket": bucket}
    code = int(workload.code[number]) if state == "Failed" else 0
    echo, result = _OPERATIONS.get(tag, _words)(about, place)
    output = {"Output": {**place, "Object": about.output_object}} if about.output_object else {}
    nodes: Nodes = {
        "Code": CODES[code],
        "Message": MESSAGES[code],
        "JobId": workload.job_ids[number],
        "State": state,
        "CreationTime": wire_time(int(workload.creation_time[number])),
        "StartTime": wire_time(int(snapshot.start_time[number])),
        "EndTime": wire_time(int(snapshot.end_time[number])),
        "QueueId": workload.queue_ids[workload.queue[number]],
        "Tag": tag,
        **({"Progress": _progress(workload, snapshot, number)} if tag in _WITH_PROGRESS else {}),
        "Input": {"BucketId": bucket, "Region": region, "Object": about.input_object, **_input(about)},
        "Operation": {
            **echo,
            **(result if state == "Success" else {}),
            **output,
            "UserData": about.user_data,
            "JobLevel": str(workload.level[number]),
        },
    }
    return xml("JobsDetail", nodes).encode()


def response(jobs: Iterable[bytes], missing: Sequence[str] = (), next_token: str | None = None) -> bytes:
    """Return an answer; NonExistJobIds is left out when all exist, NextToken when None.

    The form of a filled NonExistJobIds is not documented: several are one node with commas here.
    """
    tail = xml("NonExistJobIds", ",".join(missing)) if missing else ""
    if next_token is not None:
        tail += xml("NextToken", next_token)
    return DECLARATION + b"<Response>" + b"".join(jobs) + tail.encode() + b"</Response>"


def queues_xml(
    workload: Workload,
    positions: Iterable[int],
    missing: Sequence[str],
    *,
    now: float,
    request_id: str,
    bucket: str,
    paging: tuple[int, int, int] | None,
) -> bytes:
    """Return the answer of a queue path; ``paging`` (total, number, size) is left out when IDs were asked.

    Unknown IDs are repeated nodes in the page of ``/ai_queue``, and children of one node in those of its siblings.
    """
    names = ("TotalCount", "PageNumber", "PageSize")
    unknown: Content = list(missing)
    if missing and workload.family.queue_path != "/ai_queue":
        unknown = {"QueueID": unknown}
    nodes: Nodes = {
        "RequestId": request_id,
        **{name: str(value) for name, value in zip(names, paging or (), strict=False)},
        "QueueList": [_queue(workload, position, now, bucket) for position in positions],
        "NonExistPIDs": unknown,
    }
    return DECLARATION + xml("Response", nodes).encode()


def error_xml(code: str, message: str, *, request_id: str, trace_id: str) -> bytes:
    """Return an error's body; CI's has no Resource."""
    nodes = {"Code": code, "Message": message, "RequestId": request_id, "TraceId": trace_id}
    return b"<?xml version='1.0' encoding='utf-8' ?>\n" + xml("Error", nodes).encode()


def _queue(workload: Workload, position: int, now: float, bucket: str) -> Nodes:
    spec = workload.scenario.queues[position]
    created = wire_time(int(workload.scenario.start.timestamp()) - 86_400)
    return {
        "QueueId": workload.queue_ids[position],
        "Name": spec.name,
        "State": "Paused" if workload.queue_is_paused(position, now) else "Active",
        "NotifyConfig": {"Url": None, "Event": None, "Type": None, "State": "Off"},
        "MaxSize": "10000",
        "MaxConcurrent": str(spec.servers),
        "CreateTime": created,
        "UpdateTime": created,
        "BucketId": bucket,
        "Category": workload.queue_category(position),
    }


_WITH_PROGRESS = {
    "Transcode",
    "Animation",
    "Snapshot",
    "MediaInfo",
    "FileHashCode",
    "FileUncompress",
    "FileCompress",
}
"""Jobs of media and files say how far they are (api.md §2.2)."""


def _progress(workload: Workload, snapshot: Snapshot, number: int) -> str:
    state = STATES[snapshot.state[number]]
    if state != "Running":
        return "100" if state == "Success" else "0"
    begin, end = workload.start_time[number], workload.end_time[number]
    return str(int(100 * (snapshot.now - begin) / (end - begin)))


def _input(about: Details) -> Nodes:
    if not about.input_lang:
        return {}
    basic = {"BasicType": about.basic_type} if about.basic_type else {}
    return {"Lang": about.input_lang, "Type": about.input_type, **basic}


# Of each tag: the echo of the request, and the result of a success, both below Operation. `place` is Region and Bucket.
Operation: TypeAlias = "tuple[Nodes, Nodes]"


def _translation(about: Details, _: Nodes) -> Operation:
    echo: Nodes = {"Translation": {"Lang": about.target_lang, "Type": about.target_type}}
    if about.input_type != "png":
        return echo, {}
    text = {"Result": "A <short> text & its translation"}
    return {**echo, "NoNeedOutput": "true"}, {"AITranslateResult": text}


def _words(_: Details, __: Nodes) -> Operation:
    return _WORDS


def _word(*values: str) -> Nodes:
    return dict(zip(("Word", "Offset", "Length", "Pos"), values, strict=True))


_WORDS: Operation = (
    {"WordsGeneralize": {"NerMethod": "DL", "SegMethod": "MIX"}},
    {
        "WordsGeneralizeResult": {
            "WordsGeneralizeLable": {"Category": "地点", "Word": "深圳"},  # the wire's own spelling
            "WordsGeneralizeToken": [
                _word("明天", "0", "2", "t"),
                _word("去", "2", "1", "v"),
                _word("深圳", "3", "2", "ns"),
            ],
        }
    },
)


def _speech(about: Details, _: Nodes) -> Operation:
    flash = {"FlashAsr": "true", "Format": about.input_object.rpartition(".")[2]} if about.flash else {}
    request = {
        "EngineModelType": about.engine_model,
        "ChannelNum": "1",
        "ResTextFormat": about.res_text_format,
        "FilterDirty": "0",
        "FilterModal": "0",
        "ConvertNumMode": "1",
        "FilterPunc": "0",
        "OutputFileType": "txt",
        **flash,
    }
    result = {
        "AudioTime": f"{about.audio_s:.2f}",
        "Result": "[0:0.120,0:0.480]  你好，世界 <&>。\n",
        "ObjectName": about.output_object,
        "DetailObjectName": f"{about.output_object}.detail",
        **({"FlashResult": _FLASH} if about.flash else {}),
        "ResultDetail": None if about.res_text_format == "0" else _SENTENCE,
    }
    return {"SpeechRecognition": request}, {"SpeechRecognitionResult": result}


def _spoken(*values: str) -> Nodes:
    return dict(zip(("Word", "OffsetStartMs", "OffsetEndMs", "VoiceType"), values, strict=True))


_SENTENCE: Nodes = {
    "FinalSentence": "你好，世界 <&>。",
    "SliceSentence": "你好 ， 世界 。",
    "StartMs": "120",
    "EndMs": "480",
    "WordsNum": "2",
    "SpeechSpeed": "11.1",
    "SpeakerId": "0",
    "Words": [
        _spoken("你好", "0", "160", "0"),
        _spoken("，", "160", "170", "1"),
        _spoken("世界", "170", "350", "0"),
    ],
}
_FLASH: Nodes = {
    "channel_id": "0",
    "text": "你好，世界。",
    "sentence_list": {
        "text": "你好，世界。",
        "start_time": "120",
        "end_time": "480",
        "speaker_id": "0",
        "word_list": [
            {"word": "你好", "start_time": "120", "end_time": "280"},
            {"word": "世界", "start_time": "290", "end_time": "470"},
        ],
    },
}


def _hash(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _made(about: Details, place: Nodes) -> Nodes:
    """Return the MediaResult of jobs that make a file."""
    name = about.output_object
    file = {**place, "ObjectName": name, "Md5Info": [{"ObjectName": name, "Md5": _hash(name)}]}
    return {"MediaResult": {"OutputFile": file}}


def _seen(about: Details) -> Nodes:
    """Return the MediaInfo of a video; its StartTime and Duration are the stream's and none of the job."""
    times = {"Duration": f"{about.size * 8}.000", "StartTime": "0.000"}
    size, bitrate = str(about.size * 1_000_000), "1000"
    form = {"FormatName": about.input_object.rpartition(".")[2], "Size": size, "Bitrate": bitrate}
    video = {"Index": "0", "CodecName": "h264", "Width": "1280", "Height": "720", "Fps": "25.0"}
    return {"MediaInfo": {"Format": {**form, **times}, "Stream": {"Video": {**video, **times}}}}


def _transcode(about: Details, place: Nodes) -> Operation:
    video = {"Codec": "H.264", "Width": "1280", "Fps": "25"}
    echo = {"Transcode": {"Container": {"Format": "mp4"}, "Video": video, "Audio": {"Codec": "aac"}}}
    return echo, {**_seen(about), **_made(about, place)}


def _animation(about: Details, place: Nodes) -> Operation:
    video = {"Codec": "gif", "Width": "320", "Fps": "15"}
    span = {"Start": "0", "Duration": "5"}
    return {"Animation": {"Container": {"Format": "gif"}, "Video": video, "TimeInterval": span}}, _made(
        about, place
    )


def _snapshot(about: Details, place: Nodes) -> Operation:
    return {"Snapshot": {"Mode": "Interval", "Start": "0", "TimeInterval": "10", "Count": "3"}}, _made(
        about, place
    )


def _media_info(about: Details, _: Nodes) -> Operation:
    return {}, _seen(about)


def _document(about: Details, _: Nodes) -> Operation:
    source = about.input_object.rpartition(".")[2]
    echo = {"SrcType": source, "TgtType": "jpg", "StartPage": "1", "EndPage": "-1", "ImageParams": None}
    names = [about.output_object.replace("${Number}", str(page)) for page in range(1, about.size + 1)]
    pages = [
        {"PageNo": str(page), "TgtUri": name, "X-SheetPics": "0", "PicIndex": "0", "PicNum": "0"}
        for page, name in enumerate(names[:3], 1)
    ]
    result = {
        "FailPageCount": "0",
        "SuccPageCount": str(about.size),
        "TotalPageCount": str(about.size),
        "TotalSheetCount": "0",
        "TaskId": _hash(about.input_object),
        "TgtType": "jpg",
        "PageInfo": pages,
    }
    return {"DocProcess": echo}, {"DocProcessResult": result}


def _picture(about: Details, _: Nodes) -> Operation:
    made = about.output_object
    result = {"Key": made, "Format": "webp", "Width": "320", "Height": "240", "Size": "9000", "Quality": "90"}
    info = {"Format": about.input_object.rpartition(".")[2], "Width": "1280", "Height": "960"}
    upload = {
        "OriginalInfo": {"Key": about.input_object, "ImageInfo": info},
        "ProcessResults": {"Object": result},
    }
    echo = {"IsPicInfo": "true", "ProcessRule": "imageMogr2/thumbnail/320x/format/webp"}
    return {"PicProcess": echo}, {"PicProcessResult": {"UploadResult": upload}}


def _hash_code(about: Details, _: Nodes) -> Operation:
    md5 = _hash(about.input_object)
    result = {"MD5": md5, "FileSize": str(about.size * 1_000_000), "LastModified": "2026-10-30T09:00:00+0800"}
    return (
        {"FileHashCodeConfig": {"Type": "MD5", "AddToHeader": "false"}},
        {"FileHashCodeResult": {**result, "Etag": f'"{md5}"'}},
    )


def _uncompress(about: Details, place: Nodes) -> Operation:
    echo = {"Prefix": about.output_object, "PrefixReplaced": "1"}
    return {"FileUncompressConfig": echo}, {"FileUncompressResult": {**place, "FileCount": str(about.size)}}


def _compress(about: Details, place: Nodes) -> Operation:
    echo = {"Flatten": "0", "Format": "zip", "Prefix": "in/"}
    result = {**place, "Object": about.output_object, "CompressFileCount": str(about.size), "ErrorCount": "0"}
    return {"FileCompressConfig": echo}, {"FileCompressResult": result}


_OPERATIONS = {
    "Translation": _translation,
    "SpeechRecognition": _speech,
    "Transcode": _transcode,
    "Animation": _animation,
    "Snapshot": _snapshot,
    "MediaInfo": _media_info,
    "DocProcess": _document,
    "PicProcess": _picture,
    "FileHashCode": _hash_code,
    "FileUncompress": _uncompress,
    "FileCompress": _compress,
}
