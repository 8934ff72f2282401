"""Inputs that are opened while the model is still being loaded."""

from collections.abc import Sequence
from concurrent.futures import Future
from threading import Thread
from typing import TypeAlias

from PIL.Image import Image

from palikit.batch.sources import Source, open_source

MAX_BYTES = 256 * 2**20
"""Of pixels that wait for the model; the input that goes past it is the last."""

_BYTES_A_PIXEL = 4
"""Of Pillow's RGB."""

_Pictures: TypeAlias = Future[tuple[Image, ...]]


class EarlyInputs:
    """A thread that opens inputs in their order until there are many, or `end` is called.

    The first seconds of a run go to imports and to the reading of weights, in one thread.

    Args:
        sources: the inputs.
        frames: see `open_source`.
    """

    def __init__(self, sources: Sequence[Source], frames: int | None = None) -> None:
        self._frames = frames
        self._opened: dict[str, _Pictures] = {each.name: Future() for each in sources}
        self._is_ended = False
        Thread(target=self._work, args=(sources,), name="palikit-early", daemon=True).start()

    def end(self) -> None:
        """Begins with no further input: from now on there is other work to do."""
        self._is_ended = True

    def take(self, source: Source) -> tuple[Image, ...]:
        """As `open_source`, of an input that is taken once, and maybe in another thread."""
        opened = self._opened.pop(source.name)
        return open_source(source, self._frames) if opened.cancel() else opened.result()

    def _work(self, sources: Sequence[Source]) -> None:
        num_bytes = 0
        for source in sources:
            opened = self._opened.get(source.name)
            if self._is_ended or num_bytes > MAX_BYTES:
                return
            if opened is None or not opened.set_running_or_notify_cancel():
                continue
            try:
                pictures = open_source(source, self._frames)
            except BaseException as error:  # raised again where the input is taken
                opened.set_exception(error)
            else:
                num_bytes += sum(each.width * each.height * _BYTES_A_PIXEL for each in pictures)
                opened.set_result(pictures)
