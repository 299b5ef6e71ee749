"""What a job is about: the objects, languages and options that its XML shows beside State and times."""

from __future__ import annotations

from dataclasses import dataclass

LANGUAGES = ("zh", "en", "ja", "ko", "de", "fr", "es", "pt", "ru", "ar", "it", "id", "zh-hk")
DOCUMENTS = ("docx", "pdf", "pptx", "xlsx", "txt", "html", "markdown", "xml", "png")
ENGINES = ("16k_zh", "16k_zh", "16k_zh_video", "16k_en", "8k_zh")
AUDIO = ("mp3", "wav", "m4a")
TITLES = ("manual", "Q&A", "contract <draft>", "notes", "用户手册", 'the "final" version', "release-notes")
TICKETS = ("ticket {}", "batch {} & co", "run <{}>", '{{"ticket": {}}}', "")


@dataclass(frozen=True, slots=True)
class Details:
    """What one job is about; empty text where its kind has no such thing."""

    input_object: str
    output_object: str
    user_data: str
    input_lang: str = ""
    input_type: str = ""
    target_lang: str = ""
    target_type: str = ""
    basic_type: str = ""
    engine_model: str = ""
    res_text_format: str = "0"
    flash: bool = False


def details_of(tag: str, number: int, variant: int) -> Details:
    """Return what job ``number`` is about; ``variant`` is its share of chance, a number below 2**32."""
    title = f"{TITLES[variant % len(TITLES)]}-{number:06d}"
    user_data = TICKETS[(variant >> 3) % len(TICKETS)].format(number)
    if tag == "Translation":
        return _translation(title, user_data, variant >> 6)
    if tag == "SpeechRecognition":
        suffix = AUDIO[(variant >> 6) % len(AUDIO)]
        return Details(
            input_object=f"in/{title}.{suffix}",
            output_object=f"out/{title}.txt",
            user_data=user_data,
            engine_model=ENGINES[(variant >> 9) % len(ENGINES)],
            res_text_format="1" if (variant >> 12) % 4 == 0 else "0",
            flash=(variant >> 14) % 16 == 0,
        )
    return Details(input_object=f"in/{title}.txt", output_object="", user_data=user_data)


def _translation(title: str, user_data: str, variant: int) -> Details:
    """Languages differ, types agree but for pdf, which may become docx (api.md §2.3)."""
    source = variant % len(LANGUAGES)
    others = variant // len(LANGUAGES)
    target = (source + 1 + others % (len(LANGUAGES) - 1)) % len(LANGUAGES)
    kind = DOCUMENTS[(others // 16) % len(DOCUMENTS)]
    becomes = "docx" if kind == "pdf" and others % 2 else kind
    return Details(
        input_object=f"in/{title}.{kind}",
        output_object=f"out/{title}-{LANGUAGES[target]}.{becomes}",
        user_data=user_data,
        input_lang=LANGUAGES[source],
        input_type=kind,
        target_lang=LANGUAGES[target],
        target_type=becomes,
        basic_type="docx" if kind == "pdf" else "",
    )
