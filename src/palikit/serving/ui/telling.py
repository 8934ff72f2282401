"""What the page shows while a question is asked, and after."""

import html
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from palikit.errors import InputError
from palikit.prediction import Prediction
from palikit.published import BUILT_IN
from palikit.results import Objects, Segments
from palikit.serving.problems import Problem, problem_of
from palikit.serving.service import Service
from palikit.serving.ui.asking import ask, open_upload
from palikit.serving.ui.overlays import View, drawn, filtered, written
from palikit.serving.ui.verbs import VERBS, Verb
from palikit.serving.ui.words import Words, sentence_of, words_in
from palikit.tasks import Task

Update = dict[Any, Any]
"""New values by component."""

_FREE = next(verb for verb in VERBS if verb.name == "free")


@dataclass(frozen=True)
class Kept:
    """The last answer of an open page, for its toggles; the picture stays in its file."""

    picture: Path
    prediction: Prediction[Any]


@dataclass(frozen=True, eq=False)
class Asker:
    """Puts the page's questions and fills its components."""

    service: Service
    folder: Path
    status: Any
    stop: Any
    text: Any
    drawn: Any
    controls: Any
    downloads: Any
    files: tuple[Any, ...]
    kept: Any

    @property
    def outputs(self) -> list[Any]:
        """Every component that an update may name."""
        return [
            self.status,
            self.stop,
            self.text,
            self.drawn,
            self.controls,
            self.downloads,
            *self.files,
            self.kept,
        ]

    async def answer(
        self,
        words: Words,
        picture: str | None,
        verb: Verb,
        typed: str,
        language: str,
        view: View,
    ) -> AsyncIterator[Update]:
        """A question, from the click to the drawing."""
        try:
            path, task = _checked(words, picture, verb, typed, language)
            yield self._begun(words)
            async for progress in ask(self.service, path, task):
                if progress.prediction is None:
                    yield {self.text: progress.text}
                else:
                    kept = Kept(path, progress.prediction)
                    said = _said_of(progress.prediction, progress.seconds, words)
                    shown = await self._shown(kept, view)
                    yield {**shown, self.kept: kept, self.status: _fine(said), **self._still}
        except Exception as error:
            yield self._failed(error, words)

    async def compare(
        self,
        words: Words,
        picture: str | None,
        typed: str,
        services: Sequence[Service],
        shown: Sequence[Any],
    ) -> AsyncIterator[Update]:
        """A prompt to two models, one after the other."""
        try:
            path, task = _checked(words, picture, _FREE, typed, "en")
            yield {
                **self._begun(words),
                self.text: gr.update(value="", visible=False),
                **{each: _emptied(index) for index, each in enumerate(shown)},
            }
            for service, text, image in zip(services, shown[::2], shown[1::2], strict=True):
                async for progress in ask(service, path, task):
                    said = f"{service.name}, {progress.seconds:.1f} s"
                    yield {text: gr.update(value=progress.text, label=said)}
                    if progress.prediction is not None:
                        picture_drawn = drawn(
                            await open_upload(service, path), progress.prediction, View()
                        )
                        yield {image: gr.update(value=picture_drawn, visible=True, label=said)}
            yield {self.status: "", **self._still}
        except Exception as error:
            yield self._failed(error, words)

    async def view(self, words: Words, kept: Kept | None, view: View) -> Update:
        """The last answer with other toggles."""
        if kept is None:
            return {self.status: _bad(words.gone)}
        try:
            return await self._shown(kept, view)
        except Exception as error:
            return self._failed(error, words)

    def stopped(self, language: str) -> list[Any]:
        """After the stop button; status and the button itself."""
        return [_fine(words_in(language).stopped), gr.update(visible=False)]

    async def _shown(self, kept: Kept, view: View) -> Update:
        """Drawing, downloads and toggles of an answer."""
        opened = await open_upload(self.service, kept.picture)
        prediction = kept.prediction

        def work() -> tuple[Any, tuple[str, str, str]]:
            picture = drawn(opened, prediction, view)
            return picture, written(self.folder, picture, filtered(prediction, view))

        picture, paths = await self.service.in_thread(work)
        has_objects = isinstance(prediction.result, Objects)
        return {
            self.text: prediction.text,
            self.drawn: gr.update(value=picture if has_objects else None, visible=has_objects),
            self.controls: gr.update(visible=has_objects),
            self.downloads: gr.update(visible=True),
            **dict(zip(self.files, paths, strict=True)),
        }

    def _begun(self, words: Words) -> Update:
        return {
            self.status: _fine(words.working),
            self.stop: gr.update(visible=True),
            self.text: gr.update(value="", visible=True),
            self.drawn: gr.update(value=None, visible=False),
            self.controls: gr.update(visible=False),
            self.downloads: gr.update(visible=False),
            self.kept: None,
        }

    @property
    def _still(self) -> Update:
        return {self.stop: gr.update(visible=False)}

    def _failed(self, error: Exception, words: Words) -> Update:
        problem = problem_of(error)
        return {self.status: _bad(sentence_of(problem, words)), **self._still}


def note_of(service: Service, second: Service | None, words: Words) -> tuple[str, bool]:
    """What the page says of its models, as HTML, and whether they are loaded."""
    services = [each for each in (service, second) if each is not None]
    if any(each.backend is None for each in services):
        return html.escape(words.loading), False
    lines = []
    for each in services:
        scheduler = each.ready.scheduler
        lines.append(words.model.format(name=scheduler.model, size=scheduler.image_size))
    if service.name == BUILT_IN:
        lines.append(words.nano)
    if not service.ready.scheduler.has_masks:
        lines.append(words.no_masks)
    return html.escape(" ".join(dict.fromkeys(lines))), True


def _checked(
    words: Words, picture: str | None, verb: Verb, typed: str, language: str
) -> tuple[Path, Task]:
    """Raises Problem with a sentence in the page's language where something is missing."""
    if picture is None:
        raise Problem(400, "said", words.no_picture)
    if verb.text and not typed.strip(" ;；\n"):
        raise Problem(400, "said", getattr(words, verb.empty))
    try:
        return Path(picture), verb.make(typed.replace("；", ";"), language)
    except InputError as error:
        raise problem_of(error) from None


def _said_of(prediction: Prediction[Any], seconds: float, words: Words) -> str:
    score = "-" if prediction.score is None else f"{prediction.score:.2f}"
    said = [words.done.format(seconds=f"{seconds:.1f}", score=score)]
    if prediction.finish_reason == "length":
        said.append(words.cut)
    if prediction.finish_reason == "repeat":
        said.append(words.repeated)
    if isinstance(prediction.result, Objects):
        if not len(prediction.result):
            said.append(words.nothing_found)
        if prediction.result.unparsed:
            said.append(words.unparsed)
        if isinstance(prediction.result, Segments) and any(
            found.mask is None for found in prediction.result
        ):
            said.append(words.no_masks)
    return " ".join(said)


def _emptied(index: int) -> Any:
    return "" if index % 2 == 0 else gr.update(value=None, visible=False)


def _fine(said: str) -> str:
    return f'<p class="fine">{html.escape(said)}</p>'


def _bad(said: str) -> str:
    return f'<p class="bad" role="alert">{html.escape(said)}</p>'
