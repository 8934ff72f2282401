"""The page: what stands where, and what happens when."""

from abc import ABCMeta
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from palikit.serving.service import Service
from palikit.serving.ui.overlays import View
from palikit.serving.ui.telling import Asker, note_of
from palikit.serving.ui.verbs import VERBS, Verb
from palikit.serving.ui.words import LANGUAGES, REPLY_LANGUAGES, Words, language_for, words_in

SCENE = Path(__file__).with_name("scene.webp")
_POLL_SECONDS = 1.0


def build_page(service: Service, second: Service | None, folder: Path) -> gr.Blocks:
    """The page.

    Args:
        service: of the model that is asked.
        second: of the model it is compared with.
        folder: for files to download.
    """
    blocks = gr.Blocks(
        title="PaliKit", analytics_enabled=False, fill_width=True, delete_cache=(600, 3600)
    )
    with blocks:
        _Page(service, second, folder).lay_out()
    # Each answer of an open page waits here for its toggles: a few hundred people.
    blocks.state_session_capacity = 512
    blocks.queue(default_concurrency_limit=None, api_open=False)
    return blocks


def _path_of(_component: Any, upload: Any) -> str | None:
    """The path of an upload, which the guard has checked.

    Gradio would open the file, whatever its size; that is the service's business.
    """
    return None if upload is None else upload.path


# To the browser it is an Image (a template of it). The metaclass would write a stub file beside
# this module, so that the class is made past it.
_Picture: Any = ABCMeta.__new__(
    type(gr.Image),
    "_Picture",
    (gr.Image,),
    {"__module__": __name__, "is_template": True, "preprocess": _path_of},
)


_Said = str | Callable[[Words], str]


class _Page:
    """Components, and the texts they carry in either language."""

    def __init__(self, service: Service, second: Service | None, folder: Path) -> None:
        self._service = service
        self._second = second
        self._folder = folder
        self._words = words_in("en")
        self._said: list[tuple[Any, dict[str, _Said]]] = []
        self._runs: list[Any] = []

    def lay_out(self) -> None:
        """Everything, into the Blocks that are open."""
        self._head()
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300):
                self._picture_side()
            with gr.Column(scale=3, min_width=300):
                with gr.Tabs():
                    fields = [(verb, *self._tab(verb)) for verb in VERBS]
                    comparing = self._compare_tab()
                self._answer_side()
        for verb, button, text in fields:
            self._wire(verb, button, text)
        self._wire_compare(*comparing)
        self._wire_view()
        self._wire_words()

    def _say(self, component: Any, **fields: _Said) -> Any:
        """Remembers which texts a component takes: property, and field of `Words` or its use."""
        self._said.append((component, fields))
        return component

    def _head(self) -> None:
        words = self._words
        with gr.Row(equal_height=True, elem_classes="head"):
            with gr.Column(scale=4, min_width=240):
                tagline = gr.HTML(words.tagline, html_template=_TITLE, elem_id="tagline")
                self._say(tagline, value="tagline")
            with gr.Column(scale=0, min_width=260):
                self._page_language = self._say(
                    gr.Radio(
                        list(LANGUAGES),
                        value="en",
                        label=words.page_language,
                        elem_id="page-language",
                    ),
                    label="page_language",
                )
        self._note = gr.HTML(words.loading, elem_id="note")
        self._timer = gr.Timer(_POLL_SECONDS)

    def _picture_side(self) -> None:
        self._picture = self._say(
            _Picture(
                type="filepath",
                sources=["upload", "clipboard", "webcam"],
                label=self._words.picture,
                height=360,
                elem_id="picture",
                buttons=[],
            ),
            label="picture",
        )
        example = self._say(
            gr.Button(self._words.example, size="sm", elem_id="example"), value="example"
        )
        example.click(lambda: str(SCENE), None, self._picture, **_QUIET)
        self._reply_language = self._say(
            gr.Dropdown(
                list(REPLY_LANGUAGES),
                value="en",
                label=self._words.reply_language,
                info=self._words.reply_language_info,
                allow_custom_value=True,
                elem_id="reply-language",
            ),
            label="reply_language",
            info="reply_language_info",
        )

    def _tab_named(self, name: str) -> Any:
        tab = gr.Tab(getattr(self._words, name), id=name, elem_id=f"{name}-tab")
        return self._say(tab, label=name)

    def _tab(self, verb: Verb) -> tuple[Any, Any]:
        """A tab: its button, and its text, None where it takes none."""
        words, text = self._words, None
        with self._tab_named(verb.name):
            if verb.text:
                said = {"label": verb.text} | ({"info": verb.info} if verb.info else {})
                text = self._text_field(verb.name, verb.example, said)
            button = self._say(
                gr.Button(words.ask, variant="primary", elem_id=f"{verb.name}-ask"), value="ask"
            )
        return button, text

    def _text_field(
        self, tab: str, example: str, said: dict[str, str], *, is_visible: bool = True
    ) -> Any:
        """A text, and a button that fills an example in.

        It is empty at first: a moment after a tab comes up Gradio sets the first values of its
        fields once more, over what was typed by then.
        """
        words = self._words

        def sampled(words: Words) -> str:
            return f"{words.example}: {example}"

        text = self._say(
            gr.Textbox(
                max_lines=4,
                visible=is_visible,
                elem_id=f"{tab}-text",
                **{name: getattr(words, field) for name, field in said.items()},
            ),
            **said,
        )
        sample = self._say(
            gr.Button(sampled(words), size="sm", visible=is_visible, elem_id=f"{tab}-example"),
            value=sampled,
        )
        sample.click(lambda: example, None, text, queue=False, **_QUIET)
        return text

    def _compare_tab(self) -> tuple[Any, Any, list[Any]]:
        """The tab of two models: its button, its prompt, and text and drawing of each."""
        words = self._words
        has_second = self._second is not None
        with self._tab_named("compare"):
            missing = gr.HTML(words.no_second, visible=not has_second)
            self._say(missing, value="no_second")
            said = {"label": "prompt", "info": "prompt_info"}
            example = "detect circle ; star"
            prompt = self._text_field("compare", example, said, is_visible=has_second)
            button = gr.Button(
                words.ask, variant="primary", visible=has_second, elem_id="compare-ask"
            )
            self._say(button, value="ask")
            shown = []
            with gr.Row(visible=has_second):
                for number in (1, 2):
                    with gr.Column(min_width=200):
                        shown += [
                            gr.Textbox(
                                label=f"{number}", lines=2, elem_id=f"compare-answer-{number}"
                            ),
                            _drawing("", f"compare-drawn-{number}"),
                        ]
        return button, prompt, shown

    def _answer_side(self) -> None:
        words = self._words
        self._status = gr.HTML("", elem_id="status", html_template=_STATUS)
        self._stop = self._say(
            gr.Button(words.stop, size="sm", visible=False, elem_id="stop"), value="stop"
        )
        self._text = self._say(
            gr.Textbox(label=words.text, lines=2, max_lines=8, buttons=["copy"], elem_id="answer"),
            label="text",
        )
        with gr.Row(visible=False, elem_id="view") as self._controls:
            self._boxes = self._say(
                gr.Checkbox(value=True, label=words.boxes, elem_id="boxes", min_width=110),
                label="boxes",
            )
            self._masks = self._say(
                gr.Checkbox(value=True, label=words.masks, elem_id="masks", min_width=110),
                label="masks",
            )
            self._score = self._say(
                gr.Slider(
                    0,
                    1,
                    0,
                    step=0.01,
                    label=words.min_score,
                    scale=3,
                    min_width=240,
                    elem_id="score",
                ),
                label="min_score",
            )
        self._drawn = self._say(_drawing(words.drawn, "drawn"), label="drawn")
        with gr.Row(visible=False, elem_id="downloads") as self._downloads:
            self._files = [
                gr.DownloadButton(name, size="sm", elem_id=f"download-{name.lower()}")
                for name in ("JSON", "PNG", "COCO")
            ]
        self._kept = gr.State(time_to_live=3600)

    def _asker(self) -> Asker:
        return Asker(
            self._service,
            self._folder,
            status=self._status,
            stop=self._stop,
            text=self._text,
            drawn=self._drawn,
            controls=self._controls,
            downloads=self._downloads,
            files=tuple(self._files),
            kept=self._kept,
        )

    def _wire(self, verb: Verb, button: Any, text: Any) -> None:
        asker = self._asker()

        async def asked(
            page: str,
            picture: str | None,
            boxes: bool,  # noqa: FBT001 (Gradio calls by position)
            masks: bool,  # noqa: FBT001
            score: float,
            language: str,
            typed: str = "",
        ) -> AsyncIterator[dict[Any, Any]]:
            view = View(boxes=boxes, masks=masks, min_score=score)
            async for update in asker.answer(
                words_in(page), picture, verb, typed or "", language or "en", view
            ):
                yield update

        looked = [self._picture, self._boxes, self._masks, self._score]
        inputs = [self._page_language, *looked, self._reply_language]
        if text is not None:
            inputs.append(text)
        triggers = [button.click] + ([text.submit] if text is not None else [])
        run = gr.on(triggers, asked, inputs, asker.outputs, **_QUIET)
        self._runs.append(run)

    def _wire_compare(self, button: Any, prompt: Any, shown: list[Any]) -> None:
        if self._second is None:
            return
        asker, services = self._asker(), (self._service, self._second)

        async def asked(
            page: str, picture: str | None, typed: str
        ) -> AsyncIterator[dict[Any, Any]]:
            async for update in asker.compare(words_in(page), picture, typed, services, shown):
                yield update

        inputs = [self._page_language, self._picture, prompt]
        outputs = [*asker.outputs, *shown]
        run = gr.on([button.click, prompt.submit], asked, inputs, outputs, **_QUIET)
        self._runs.append(run)

    def _wire_view(self) -> None:
        """Toggles, slider and stop."""
        asker = self._asker()

        async def viewed(
            page: str,
            kept: Any,
            boxes: bool,  # noqa: FBT001 (Gradio calls by position)
            masks: bool,  # noqa: FBT001
            score: float,
        ) -> dict[Any, Any]:
            return await asker.view(
                words_in(page), kept, View(boxes=boxes, masks=masks, min_score=score)
            )

        inputs = [self._page_language, self._kept, self._boxes, self._masks, self._score]
        triggers = [self._boxes.input, self._masks.input, self._score.release]
        gr.on(triggers, viewed, inputs, asker.outputs, trigger_mode="always_last", **_QUIET)
        self._stop.click(
            asker.stopped,
            self._page_language,
            [self._status, self._stop],
            cancels=self._runs,
            queue=False,
            api_visibility="private",
        )

    def _wire_words(self) -> None:
        """The page's language, and the note of the model."""
        components = [component for component, _ in self._said]
        note = partial(note_of, self._service, self._second)

        def said(language: str) -> list[Any]:
            words = words_in(language)
            updates = [
                gr.update(**{name: _told(words, field) for name, field in fields.items()})
                for _, fields in self._said
            ]
            return [*updates, note(words)[0]]

        def greet(request: gr.Request) -> list[Any]:
            language = language_for(request.headers.get("accept-language", ""))
            if language == "en":  # the texts are there already
                return [language, *([gr.skip()] * len(components)), note(words_in(language))[0]]
            return [language, *said(language)]

        def tick(language: str) -> list[Any]:
            told, is_ready = note(words_in(language))
            return [told, gr.Timer(active=not is_ready)]

        texts = [*components, self._note]
        language = self._page_language
        quick: dict[str, Any] = {
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        language.input(said, language, texts, **quick)
        blocks = gr.context.Context.root_block
        if blocks is not None:
            blocks.load(greet, None, [language, *texts], **quick)
        self._timer.tick(tick, language, [self._note, self._timer], **quick)


_QUIET: dict[str, Any] = {
    "show_progress": "hidden",
    "concurrency_limit": None,  # the scheduler decides what runs together
    "api_visibility": "private",
}

_TITLE = "<h1>PaliKit</h1><p>${value}</p>"
_STATUS = '<div role="status" aria-live="polite">${value}</div>'


def _told(words: Words, said: _Said) -> Any:
    return getattr(words, said) if isinstance(said, str) else said(words)


def _drawing(label: str, name: str) -> Any:
    return gr.Image(
        label=label,
        format="png",
        interactive=False,
        visible=False,
        elem_id=name,
        buttons=["fullscreen"],
    )
