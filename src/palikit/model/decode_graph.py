"""Decode steps that the device runs by itself, over caches that stay in their place.

A step of one token is thousands of small kernels, which a host cannot start as fast as a GPU runs
them. Captured once (a CUDA graph), they are started together; in return a captured step knows
nothing but fixed addresses and fixed shapes:

    token ids and counts    in one tensor, written before each run
    keys, values, lengths   a cache that is kept from batch to batch; lengths advance in the step
    what a step looks at    a window, the first slots of the cache; limits hide what is not written
    the hidden states       where the capture left them, until the next run

A window is a multiple of `cache.BAND` slots, so that a cache with room for a long answer is not
read to its end for a short one. The captured step is `PaliGemma.decode_step` itself, which is also
what runs where nothing can be captured.

Axes: B batch, W tokens fed at once, D hidden size.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from threading import Lock
from typing import TypeAlias

import torch
from torch import Tensor

from palikit.model.cache import KVCache, rounded_up
from palikit.model.paligemma import PaliGemma

Fed: TypeAlias = Sequence[Sequence[int]]
"""New tokens of each row of a batch; none for a row that rests."""

Step: TypeAlias = Callable[[], Tensor]

MAX_WIDTH = 8
"""Tokens a row that a captured step takes; what a grammar forces is seldom more."""

MAX_STEPS = 8
"""Captured steps of one cache; the one used longest ago makes way."""

_WARM_UPS = 2
"""Runs before a capture, in which libraries allocate what they must not while it goes on."""


def feed(model: PaliGemma, cache: KVCache, new: Fed) -> Tensor:
    """The plain step: append tokens to every row.

    Returns:
        [B, D]: the hidden state of each row's last new token, meaningless for a row without any.
    """
    width = max(map(len, new))
    device = cache.lengths.device
    token_ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in new], device=device)
    counts = None
    # A row that rests may as well run along: then all rows of a batch write the same slots.
    if any(0 < len(ids) < width for ids in new):
        counts = torch.tensor([len(ids) for ids in new], device=device)
    return model.decode_step(token_ids, cache, counts)


def capture(step: Step, device: torch.device) -> Step:
    """A step as a CUDA graph, to be run again and again as it has been captured.

    Args:
        step: starts kernels on the device and nothing else; it is run a few times, too.
        device: a CUDA device.

    Returns:
        What runs it; the tensor it returns is the same each time.
    """
    graph = torch.cuda.CUDAGraph()
    with _CAPTURING, torch.cuda.device(device):
        here, aside = torch.cuda.current_stream(), _side_stream(device)
        aside.wait_stream(here)
        try:
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UPS):
                    step()
            # Other threads may go on using the device.
            with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
                out = step()
        finally:
            torch.cuda.set_stream(here)  # a capture that fails leaves its own one behind
            here.wait_stream(aside)

    def run() -> Tensor:
        graph.replay()
        return out

    return run


_CAPTURING = Lock()
"""A process captures one thing at a time."""


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures: libraries keep tens of megabytes for every stream they have seen."""
    stream: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    return stream


@dataclass(eq=False)
class Capturer:
    """Captures steps until one cannot be; from then on none is, and the plain step runs."""

    capture: Callable[[Step, torch.device], Step] = capture
    is_off: bool = False

    def __call__(self, step: Step, device: torch.device) -> Step | None:
        """What runs the step, or None."""
        if self.is_off:
            return None
        try:
            return self.capture(step, device)
        except RuntimeError as error:
            self.is_off = True
            reason = str(error).partition("\n")[0] or type(error).__name__
            warnings.warn(
                f"a decode step cannot be captured here ({reason}): its kernels are started one "
                "by one, which is slower",
                RuntimeWarning,
                stacklevel=2,
            )
            return None


@dataclass(eq=False)
class CapturedStep:
    """A step of a fixed width over a fixed window.

    Attributes:
        fed: int64[B, W + 1] where the step reads: token ids, and how many of them are meant.
        staged: the same on the host.
        run: the step.
    """

    fed: Tensor
    staged: Tensor
    run: Step

    def __call__(self, new: Fed) -> Tensor:
        """Append tokens, at most W a row: [B, D], overwritten by the next call."""
        width = self.fed.shape[1] - 1
        rows = [[*ids, *[0] * (width - len(ids)), len(ids)] for ids in new]
        # The copy before this one is over: the tokens chosen since have come through the host.
        self.staged.copy_(torch.tensor(rows))
        self.fed.copy_(self.staged, non_blocking=True)
        return self.run()


@dataclass(eq=False)
class Lane:
    """A cache that stays in its place, and the steps captured over it.

    Attributes:
        weights: addresses of the weights that the steps were captured with.
        steps: by width and window, the one used last at the end.
        is_checked: whether the model of the batch at hand is known to have those weights.
    """

    cache: KVCache
    capturer: Capturer
    weights: tuple[int, ...] = ()
    steps: OrderedDict[tuple[int, int], CapturedStep] = field(default_factory=OrderedDict)
    is_checked: bool = False

    def begin(self) -> None:
        """Empty the cache for another batch."""
        self.cache.reset()
        self.is_checked = False

    def feed(self, model: PaliGemma, new: Fed) -> Tensor:
        """As the function `feed`, by a captured step where there is one."""
        if not self.is_checked:
            self._check(model)
        width = max(map(len, new))
        step = self._step(model, width)
        if step is None:
            return feed(model, self.cache, new)
        self.cache.is_uniform = False
        self.cache.end = min(self.cache.end + width, self.cache.capacity)
        return step(new)

    def _check(self, model: PaliGemma) -> None:
        """Forget steps that would read weights which have been replaced since."""
        weights = _addresses(model)
        if weights != self.weights:
            self.steps.clear()
        self.weights, self.is_checked = weights, True

    def _step(self, model: PaliGemma, width: int) -> CapturedStep | None:
        if width > MAX_WIDTH:
            return None
        window = min(rounded_up(self.cache.end + width), self.cache.capacity)
        key = (1 << (width - 1).bit_length(), window)  # widths of 1, 2, 4, 8
        if key not in self.steps:
            captured = self._captured(model, *key)
            if captured is None:
                return None
            self.steps[key] = captured
        self.steps.move_to_end(key)
        while len(self.steps) > MAX_STEPS:
            self.steps.popitem(last=False)
        return self.steps[key]

    def _captured(self, model: PaliGemma, width: int, window: int) -> CapturedStep | None:
        """No row is fed anything while it is captured, so that nothing happens to the cache."""
        cache, device = self.cache, self.cache.lengths.device
        staged = torch.zeros(
            cache.lengths.shape[0], width + 1, dtype=torch.int64, pin_memory=device.type == "cuda"
        )
        fed = staged.to(device)

        def step() -> Tensor:
            # As if `window` tokens had been seen when these are written.
            view = KVCache(
                cache.keys, cache.values, cache.lengths, end=window - width, is_uniform=False
            )
            return model.decode_step(fed[:, :width], view, fed[:, width])

        run = self.capturer(step, device)
        return None if run is None else CapturedStep(fed, staged, run)


def _addresses(model: PaliGemma) -> tuple[int, ...]:
    """Where the decoder's weights are."""
    decoder = model.language_model
    return tuple(w.data_ptr() for w in chain(decoder.parameters(), decoder.buffers()))
