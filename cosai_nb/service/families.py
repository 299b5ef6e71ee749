"""The families of jobs that share one API: where each is asked, and which kinds of job it has."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

from cosai_nb.arguments import nearest
from cosai_nb.errors import SettingsError


class Family(NamedTuple):
    """One family of jobs.

    Parameters
    ----------
    path : str
        Where jobs are queried by ID.
    queue_path : str
        Where its queues are listed.
    tags : tuple of str
        The kinds of job that are listed unless others are asked for.
    other_tags : tuple of str
        Kinds that may be listed, too.
    listed : bool
        Whether jobs can be listed at all.
    """

    path: str
    queue_path: str
    tags: tuple[str, ...]
    other_tags: tuple[str, ...] = ()
    listed: bool = True

    def known_tag(self, tag: str) -> str:
        """Return a tag as the service writes it, whatever its case.

        Raises
        ------
        SettingsError
            Where the family has no such tag; it names the nearest one.

        Examples
        --------
        >>> FAMILIES["ai"].known_tag("translation")
        'Translation'
        >>> FAMILIES["ai"].known_tag("Translaton")
        Traceback (most recent call last):
        cosai_nb.errors.SettingsError: tag='Translaton' is no kind of job at /ai_jobs: did you mean Translation?
        """
        known = {name.casefold(): name for name in (*self.tags, *self.other_tags)}
        if tag.casefold() in known:
            return known[tag.casefold()]
        near = nearest(tag, known.values())
        hint = f"did you mean {near}?" if near else f"it has {', '.join(known.values())}."
        raise SettingsError(f"tag={tag!r} is no kind of job at {self.path}: {hint}")


_VOICE = ("NoiseReduction", "VoiceSeparate", "Tts", "SoundHound", "VocalScore")
_AI = ("Translation", "SpeechRecognition", "WordsGeneralize")
_IMAGE = ("ImageOCR", "ImageInspect")
_MEDIA = (
    "Transcode", "Animation", "Snapshot", "SmartCover", "Concat", "VideoMontage", "VideoProcess", "VideoEnhance",
    "SDRtoHDR", "SuperResolution", "Segment", "DigitalWatermark", "ExtractDigitalWatermark", "VideoTag", "MediaInfo",
    "StreamExtract", "QualityEstimate", "DNA",
)  # fmt: skip

FAMILIES = MappingProxyType(
    {
        "ai": Family("/ai_jobs", "/ai_queue", _AI, (*_VOICE, *_IMAGE)),
        "media": Family("/jobs", "/queue", _MEDIA, (*_AI, *_VOICE, *_IMAGE, "PicProcess")),
        "asr": Family("/asr_jobs", "/asrqueue", ("SpeechRecognition",), _VOICE),
        "doc": Family("/doc_jobs", "/docqueue", ("DocProcess",)),
        "pic": Family("/pic_jobs", "/picqueue", ("PicProcess",), _IMAGE),
        "file": Family(
            "/file_jobs", "/file_queue", ("FileHashCode", "FileUncompress", "FileCompress"), listed=False
        ),
    }
)
"""Every family by the name that ``Client(family=…)`` takes."""
