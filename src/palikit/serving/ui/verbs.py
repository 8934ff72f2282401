"""The tabs that put one question to one model."""

from collections.abc import Callable
from dataclasses import dataclass

from palikit import tasks
from palikit.tasks import Task


@dataclass(frozen=True)
class Verb:
    """A tab.

    Attributes:
        name: field of `Words` with its title.
        make: the task for a text and a language of the reply.
        text: field of `Words` that its text is called by; "" where it takes none.
        info: field of `Words` with an explanation of the text; "" for none.
        empty: field of `Words` with what is said of an empty text.
        example: a text that nano can answer.
    """

    name: str
    make: Callable[[str, str], Task]
    text: str = ""
    info: str = ""
    empty: str = ""
    example: str = ""


VERBS = (
    Verb("caption", lambda _, language: tasks.caption(language)),
    Verb("describe", lambda _, language: tasks.describe(language)),
    Verb(
        "answer",
        tasks.answer,
        text="question",
        empty="no_question",
        example="how many stars are there?",
    ),
    Verb("ocr", lambda _text, _language: tasks.ocr()),
    Verb(
        "detect",
        lambda text, _: tasks.detect(text),
        text="labels",
        info="labels_info",
        empty="no_labels",
        example="circle ; star",
    ),
    Verb(
        "segment",
        lambda text, _: tasks.segment(text),
        text="labels",
        info="labels_info",
        empty="no_labels",
        example="circle ; star",
    ),
    Verb(
        "free",
        lambda text, _: tasks.task_from_prompt(text),
        text="prompt",
        info="prompt_info",
        empty="no_prompt",
        example="detect circle ; star",
    ),
)
