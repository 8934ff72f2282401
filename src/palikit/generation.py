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

from palikit.choosing import choose, log_prob, random_numbers
from palikit.grammar import ObjectGrammar, State
from palikit.model.cache import KVCache
from palikit.model.decode_graph import feed
from palikit.model.inputs import ModelInputs
from palikit.model.lanes import lanes_of
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions

FinishReason = Literal["stop", "length", "repeat"]
"""The end token; the token limit; an object named a second time, which is left out."""


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
        options: how its tokens are chosen.
        generator: its own random numbers; None where it takes the likeliest tokens.
        whole: tokens up to the end of the last finished object.
    """

    eos_id: int
    limit: int
    grammar: ObjectGrammar | None = None
    is_steered: bool = False
    options: GenerationOptions = field(default_factory=GenerationOptions)
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
        self.rows = [new_row(model, options, grammar) for grammar in (grammars or [None] * B)]
        self._batch = self.rows  # those in the cache, in its order
        self._lanes = lanes_of(model)
        self._lane = None
        if self._lanes is not None:
            slots = num_slots(model, inputs, options.max_new_tokens)
            self._lane = self._lanes.take(model, B, slots)
        self.cache = (
            allocate_cache(model, inputs, options.max_new_tokens)
            if self._lane is None
            else self._lane.cache
        )
        self.hidden = model.prefill(inputs, self.cache, image_embeds)

    @property
    def is_done(self) -> bool:
        """Whether every row has ended."""
        return all(row.finish_reason is not None for row in self.rows)

    @torch.inference_mode()
    def step(self) -> None:
        """Give every row that has not ended its next token, and those that follow from it."""
        new = write(self.model, self._batch, self.hidden)
        if self.is_done:
            self._give_back()
        else:
            self._feed(new)

    def _feed(self, new: list[list[int]]) -> None:
        """Feed every open row its new tokens."""
        if self._lane is not None:
            self.hidden = self._lane.feed(self.model, new)
            return
        open_places = [place for place, ids in enumerate(new) if ids]
        if 2 * len(open_places) <= len(new):  # worth a copy of what the others have seen
            self.cache = self.cache.select(torch.tensor(open_places, device=self.hidden.device))
            self._batch = [self._batch[place] for place in open_places]
            new = [new[place] for place in open_places]
        self.hidden = feed(self.model, self.cache, new)

    def _give_back(self) -> None:
        """The next batch may have the cache."""
        if self._lanes is not None and self._lane is not None:
            self._lanes.give_back(self._lane)
            self._lane = None


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


def write(model: PaliGemma, rows: Sequence[Row], hidden: Tensor) -> list[list[int]]:
    """Give every open row its next token, and those that follow from it.

    Args:
        model: whose head scores them.
        rows: of one batch; each may have options of its own.
        hidden: [n, D], of each row's last token.

    Returns:
        The new ids of each row, to be fed; none for a row that has ended.
    """
    starts = [len(row.tokens) for row in rows]
    groups: dict[Sequence[int] | None, list[int]] = {}
    for place, row in enumerate(rows):
        if row.finish_reason is None:
            groups.setdefault(candidates(row), []).append(place)
    for ids, places in groups.items():  # what is chosen from the same ids is scored together
        here = hidden if len(places) == len(rows) else hidden[places]
        _write_one(model, [rows[place] for place in places], here, ids)
    for row in rows:
        accept_forced(row)
    return [
        [token.id for token in row.tokens[start:]] if row.finish_reason is None else []
        for row, start in zip(rows, starts, strict=True)
    ]


def _write_one(
    model: PaliGemma, rows: list[Row], hidden: Tensor, ids: Sequence[int] | None
) -> None:
    if ids is None:
        chosen = choose(vocabulary_logits(model, hidden), rows)
        for row, state, (token, chance) in zip(rows, hidden, chosen, strict=True):
            row.accept(free_token(model, state, row, token, chance))
    else:
        for row, (index, chance) in zip(
            rows, choose(logits_of(model, hidden, ids), rows), strict=True
        ):
            row.accept(Token(ids[index], chance))


def new_row(model: PaliGemma, options: GenerationOptions, grammar: ObjectGrammar | None) -> Row:
    """A row at its start; every row draws its own random numbers from the same seed."""
    return Row(
        eos_id=model.config.eos_token_id,
        limit=options.max_new_tokens,
        grammar=grammar,
        is_steered=grammar is not None and options.grammar,
        options=options,
        generator=random_numbers(options),
    )


def vocabulary_logits(model: PaliGemma, hidden: Tensor) -> Tensor:
    """[n, D] -> float32[n, V]; rows of the table behind the last id are never predicted."""
    return model.language_model.logits(hidden)[:, : model.config.image_token_index]


def logits_of(model: PaliGemma, hidden: Tensor, ids: Sequence[int]) -> Tensor:
    """[..., D] -> float32[..., m]: the logits of m ids, from their rows of the head alone."""
    if isinstance(ids, range):  # neighbours are read where they lie
        return model.language_model.logits(hidden, slice(ids.start, ids.stop, ids.step))
    return model.language_model.logits(hidden, torch.tensor(ids, device=hidden.device))


def candidates(row: Row) -> Sequence[int] | None:
    """Ids an open row chooses from; None for all."""
    if not row.is_steered:
        return None
    allowed = row.allowed()
    if allowed is None:
        raise AssertionError("a steered row has left its grammar")
    return allowed


def free_token(
    model: PaliGemma, hidden: Tensor, row: Row, token: int, vocabulary_log_prob: float
) -> Token:
    """A token chosen out of all ids, scored as the grammar would where one watches."""
    allowed = row.allowed()
    if allowed is None or token not in allowed:
        return Token(token, None, vocabulary_log_prob)
    if len(allowed) == 1:
        return Token(token, 0.0, vocabulary_log_prob, forced=True)
    within = log_prob(logits_of(model, hidden, allowed), allowed.index(token))
    return Token(token, within, vocabulary_log_prob)


def accept_forced(row: Row) -> None:
    """Take the tokens that a steered row has no choice about."""
    while row.is_steered and row.finish_reason is None:
        allowed = row.allowed()
        if allowed is None or len(allowed) != 1:
            return
        row.accept(Token(allowed[0], 0.0, forced=True))


def num_slots(model: PaliGemma, inputs: ModelInputs, max_new_tokens: int) -> int:
    """Tokens of the longest row of a batch, `max_new_tokens` more than it has included."""
    num_image = inputs.image_index.shape[1] * model.config.vision_config.num_image_tokens
    return num_image + inputs.input_ids.shape[1] + max_new_tokens


def allocate_cache(model: PaliGemma, inputs: ModelInputs, max_new_tokens: int) -> KVCache:
    """A cache that holds the batch's prompts, to be read next, and `max_new_tokens` more."""
    return KVCache.allocate(
        model.config.text_config,
        inputs.input_ids.shape[0],
        num_slots(model, inputs, max_new_tokens),
        dtype=model.dtype,
        device=model.device,
        prompt=num_slots(model, inputs, 0),
    )
