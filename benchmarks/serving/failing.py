"""`palikit` whose model raises when it is told to, to see what a server makes of that.

    python -m benchmarks.serving.failing serve --port 8000

Everything is the program's own but `PaliGemma.decode_step`: after SIGUSR1 it raises in the next
step of several rows, between two SIGUSR2 in every step. What it raises names a path and a prompt,
which no client may see.
"""

import signal
from types import FrameType

from torch import Tensor

from palikit import cli
from palikit.model.cache import KVCache
from palikit.model.paligemma import PaliGemma

SECRET = "/secret/path: another user's prompt"


class Failing:
    """Stands before the step of a model."""

    def __init__(self) -> None:
        self._step = PaliGemma.decode_step
        self._fails_once = self._fails_always = False

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """A signal."""
        if number == signal.SIGUSR1:
            self._fails_once = True
        else:
            self._fails_always = not self._fails_always

    def step(
        self, model: PaliGemma, ids: Tensor, cache: KVCache, counts: Tensor | None = None
    ) -> Tensor:
        """The model's, or an error."""
        fails_once = self._fails_once and ids.shape[0] > 1
        if fails_once or self._fails_always:
            self._fails_once = False
            raise RuntimeError(SECRET)
        return self._step(model, ids, cache, counts)


def main() -> None:
    failing = Failing()
    for each in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, failing.hear)

    def step(model: PaliGemma, ids: Tensor, cache: KVCache, counts: Tensor | None = None) -> Tensor:
        return failing.step(model, ids, cache, counts)

    PaliGemma.decode_step = step
    cli.main()


if __name__ == "__main__":
    main()
