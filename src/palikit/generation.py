"""From a prompt to token ids: prefill, decode loop, sampling, stop rules. Ids only, no text.

Each row of a batch is decoded as if it were alone: its own grammar, its own random numbers, its own
end. Where a grammar leaves few ids, only their rows of the head are computed; where it leaves one,
that token is taken unseen and fed together with the one before it.

Axes: B batch, Q tokens fed at once, D hidden size, V ids that can be predicted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from palikit.grammar import ObjectGrammar, State
from palikit.model.cache import KVCache
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions

FinishReason = Literal["stop", "length", "repeat"]
"""The end token; the token limit; an object named a second time, which is left out."""


MIN_TEMPERATURE = 1e-6
"""Below it float32 can no longer tell the temperature from zero."""


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token.

    Attributes:
        id: the token.
        grammar_log_prob: log-probability over the ids the grammar allows; None without a grammar
            or where the text has left it.
        vocabulary_log_prob: log-probability over all ids; None where they were not all computed.
        forced: the grammar allowed no other id.
    """

    id: int
    grammar_log_prob: float | None = None
    vocabulary_log_prob: float | None = None
    forced: bool = False


@dataclass(frozen=True)
class Generation:
    """What was generated for one query, the end token included where it was written."""

    tokens: tuple[Token, ...]
    finish_reason: FinishReason

    @property
    def follows_grammar(self) -> bool:
        """Whether every token has a log-probability under a grammar."""
        return bool(self.tokens) and all(t.grammar_log_prob is not None for t in self.tokens)


@dataclass
class Row:
    """One query while it is decoded.

    Attributes:
        eos_id: the token that ends it.
        limit: tokens it may have.
        grammar: the form of its answer, if it has one.
        is_steered: whether the grammar decides, or only watches.
        whole: tokens up to the end of the last finished object.
    """

    eos_id: int
    limit: int
    grammar: ObjectGrammar | None = None
    is_steered: bool = False
    generator: torch.Generator | None = None
    tokens: list[Token] = field(default_factory=list)
    state: State | None = None
    whole: int = 0
    finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        if self.grammar is not None:
            self.state = self.grammar.start

    def allowed(self) -> Sequence[int] | None:
        """Ids the grammar allows next; None without a grammar or once the text has left it."""
        if self.grammar is None or self.state is None:
            return None
        return self.grammar.allowed(self.state)

    def accept(self, token: Token) -> None:
        """Append a token and see whether it ends the row."""
        self.tokens.append(token)
        self._advance(token.id)
        if self.finish_reason is not None:
            return
        if token.id == self.eos_id:
            self.finish_reason = "stop"
        elif len(self.tokens) >= self.limit:
            self.finish_reason = "length"

    def _advance(self, token: int) -> None:
        """Follow the grammar; an object named a second time ends a steered row before it."""
        if self.grammar is None or self.state is None:
            return
        before, self.state = self.state, self.grammar.advance(self.state, token)
        if self.state is None or before.phase != "label" or self.state.phase == "label":
            return
        if self.state.repeated and self.is_steered:
            del self.tokens[self.whole :]
            self.finish_reason = "repeat"
        else:
            self.whole = len(self.tokens) - 1  # without the separator or end that closed it

    def settled(self) -> int:
        """Tokens that nothing to come can take back."""
        if self.finish_reason is not None or not self.is_steered:
            return len(self.tokens)
        return self.whole

    def result(self) -> Generation:
        """What has been generated; the row must have ended."""
        if self.finish_reason is None:
            raise ValueError("the row has not ended")
        return Generation(tuple(self.tokens), self.finish_reason)


class Decoding:
    """A batch being decoded: construct, `step` until `is_done`, read `rows`.

    Args:
        model: in eval mode; runs without gradients.
        inputs: the batch, on the model's device.
        options: sampling and limits; beams are `beam_search`'s.
        grammars: one a row, None for a row without; with `options.grammar` off they only watch.
        image_embeds: [U, I, D] where the image tower has already run.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: PaliGemma,
        inputs: ModelInputs,
        options: GenerationOptions,
        grammars: Sequence[ObjectGrammar | None] | None = None,
        image_embeds: Tensor | None = None,
    ) -> None:
        B = inputs.input_ids.shape[0]
        self.model = model
        self.options = options
        self.rows = [new_row(model, options, grammar) for grammar in (grammars or [None] * B)]
        self.cache = allocate_cache(model, inputs, options.max_new_tokens)
        self.hidden = model.prefill(inputs, self.cache, image_embeds)

    @property
    def is_done(self) -> bool:
        """Whether every row has ended."""
        return all(row.finish_reason is not None for row in self.rows)

    @torch.inference_mode()
    def step(self) -> None:
        """Give every row that has not ended its next token, and those that follow from it."""
        starts = [len(row.tokens) for row in self.rows]
        self._choose()
        for row in self.rows:
            accept_forced(row)
        if not self.is_done:
            self._feed(starts)

    def _choose(self) -> None:
        """One free token for each row: from few rows of the head where a grammar leaves few ids."""
        open_rows = [i for i, row in enumerate(self.rows) if row.finish_reason is None]
        free = [i for i in open_rows if not self.rows[i].is_steered]
        if free:
            logits = vocabulary_logits(self.model, self.hidden[free])
            for row_logits, i in zip(logits, free, strict=True):
                row, token = self.rows[i], pick(row_logits, self.options, self.rows[i].generator)
                chance = log_prob(row_logits, token)
                row.accept(free_token(self.model, self.hidden[i], row, token, chance))
        for i in open_rows:
            if self.rows[i].is_steered:
                self._accept_from_grammar(self.rows[i], self.hidden[i])

    def _accept_from_grammar(self, row: Row, hidden: Tensor) -> None:
        allowed = row.allowed()
        if allowed is None:
            raise AssertionError("a steered row has left its grammar")
        logits = logits_of(self.model, hidden, allowed)
        chosen = pick(logits, self.options, row.generator)
        row.accept(Token(allowed[chosen], log_prob(logits, chosen)))

    def _feed(self, starts: list[int]) -> None:
        """Feed every open row its new tokens; ended rows rest."""
        new = [
            [token.id for token in row.tokens[start:]] if row.finish_reason is None else []
            for row, start in zip(self.rows, starts, strict=True)
        ]
        width = max(len(ids) for ids in new)
        device = self.hidden.device
        token_ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in new], device=device)
        counts = None
        if any(len(ids) < width for ids in new):
            counts = torch.tensor([len(ids) for ids in new], device=device)
        self.hidden = self.model.decode_step(token_ids, self.cache, counts)


def generate(
    model: PaliGemma,
    inputs: ModelInputs,
    options: GenerationOptions,
    grammars: Sequence[ObjectGrammar | None] | None = None,
    image_embeds: Tensor | None = None,
) -> list[Generation]:
    """Decode a batch to its end, greedily or sampling; arguments as of `Decoding`."""
    decoding = Decoding(model, inputs, options, grammars, image_embeds)
    while not decoding.is_done:
        decoding.step()
    return [row.result() for row in decoding.rows]


def stream(
    model: PaliGemma,
    inputs: ModelInputs,
    options: GenerationOptions,
    grammar: ObjectGrammar | None = None,
) -> Iterator[Token]:
    """Tokens of a batch of one as they settle; under a grammar, whole objects at a time."""
    decoding = Decoding(model, inputs, options, [grammar])
    row, sent = decoding.rows[0], 0
    while not decoding.is_done:
        decoding.step()
        yield from row.tokens[sent : row.settled()]
        sent = max(sent, row.settled())


def new_row(model: PaliGemma, options: GenerationOptions, grammar: ObjectGrammar | None) -> Row:
    """A row at its start; every row draws its own random numbers from the same seed."""
    generator = None
    if options.temperature > 0:
        generator = torch.Generator().manual_seed(options.seed)
    return Row(
        eos_id=model.config.eos_token_id,
        limit=options.max_new_tokens,
        grammar=grammar,
        is_steered=grammar is not None and options.grammar,
        generator=generator,
    )


def vocabulary_logits(model: PaliGemma, hidden: Tensor) -> Tensor:
    """[n, D] -> float32[n, V]; rows of the table behind the last id are never predicted."""
    return model.language_model.logits(hidden)[:, : model.config.image_token_index].cpu()


def logits_of(model: PaliGemma, hidden: Tensor, ids: Sequence[int]) -> Tensor:
    """[D] -> float32[n]: the logits of some ids, from their rows of the head alone."""
    rows = torch.tensor(list(ids), device=hidden.device)
    return model.language_model.logits(hidden, rows).cpu()


def free_token(
    model: PaliGemma, hidden: Tensor, row: Row, token: int, vocabulary_log_prob: float
) -> Token:
    """A token chosen out of all ids, scored as the grammar would where one watches."""
    allowed = row.allowed()
    if allowed is None or token not in allowed:
        return Token(token, None, vocabulary_log_prob)
    if len(allowed) == 1:
        return Token(token, 0.0, vocabulary_log_prob, forced=True)
    within = log_prob(logits_of(model, hidden, allowed), list(allowed).index(token))
    return Token(token, within, vocabulary_log_prob)


def accept_forced(row: Row) -> None:
    """Take the tokens that a steered row has no choice about."""
    while row.is_steered and row.finish_reason is None:
        allowed = row.allowed()
        if allowed is None or len(allowed) != 1:
            return
        row.accept(Token(allowed[0], 0.0, forced=True))


def allocate_cache(model: PaliGemma, inputs: ModelInputs, max_new_tokens: int) -> KVCache:
    """A cache that holds the batch's prompts and `max_new_tokens` more."""
    B, T = inputs.input_ids.shape
    num_image = inputs.image_index.shape[1] * model.config.vision_config.num_image_tokens
    return KVCache.allocate(
        model.config.text_config,
        B,
        num_image + T + max_new_tokens,
        dtype=model.dtype,
        device=model.device,
    )


def log_prob(logits: Tensor, index: int) -> float:
    """Log-probability of one of float32[n] logits."""
    return float(logits[index] - logits.logsumexp(dim=-1))


def pick(logits: Tensor, options: GenerationOptions, generator: torch.Generator | None) -> int:
    """The index to take next, of float32[n] logits: the largest, or a sample."""
    if options.temperature == 0 or generator is None:
        return int(logits.argmax())
    return int(torch.multinomial(sampling_probabilities(logits, options), 1, generator=generator))


def sampling_probabilities(logits: Tensor, options: GenerationOptions) -> Tensor:
    """float32[n] logits to probabilities under temperature, then top-k, then top-p.

    Top-p keeps the likeliest ids up to and including the one with which their sum reaches p, and
    all ids as likely as that one (big_vision, predict_fns.py).
    """
    # Nothing overflows near zero: there the likeliest ids keep all of the probability.
    logits = (logits - logits.max()) / max(options.temperature, MIN_TEMPERATURE)
    if 0 < options.top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(options.top_k).values[-1], -torch.inf)
    if options.top_p < 1:
        ordered = logits.sort(descending=True).values
        reached = ordered.softmax(dim=-1).cumsum(dim=-1) >= options.top_p
        last = int(reached.int().argmax()) if bool(reached.any()) else len(logits) - 1
        logits = logits.masked_fill(logits < ordered[last], -torch.inf)
    return logits.softmax(dim=-1)
