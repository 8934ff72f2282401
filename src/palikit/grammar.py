"""The form of an answer to `detect` and `segment`, as an automaton over token ids.

    answer     <eos>  |  object ( separator object )* <eos>
    object     4 location ids, then 16 segmentation ids (segment only), then one of the labels

It knows ids only. It steers generation when told to, and otherwise watches, so that scores can be
normalised over the ids it would have allowed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

Phase = Literal["object", "label", "separator", "end"]


@dataclass(frozen=True, slots=True)
class State:
    """Where in the answer the automaton stands.

    Attributes:
        phase: "object" within the codes of an object, "label" within its label, "separator" after
            the first token of a separator, "end" when only <eos> may follow or has followed.
        current: ids of the object being written, or of the separator in its phase.
        seen: objects written so far, as box and label.
        repeated: the object just finished had been written before.
    """

    phase: Phase = "object"
    current: tuple[int, ...] = ()
    seen: frozenset[tuple[int, ...]] = frozenset()
    repeated: bool = False


@dataclass(frozen=True)
class ObjectGrammar:
    """The grammar of one prompt.

    Attributes:
        loc_ids, seg_ids: ids of location and segmentation tokens.
        num_codes: segmentation ids an object has: 16, or 0 for `detect`.
        labels: the ids of each label the prompt asks for, as they stand after the codes.
        separator: ids between a label and the next object.
        eos_id: the end.
    """

    loc_ids: range
    seg_ids: range
    num_codes: int
    labels: Sequence[tuple[int, ...]]
    separator: tuple[int, ...]
    eos_id: int
    start: State = field(default_factory=State)

    def allowed(self, state: State) -> Sequence[int]:
        """Ids that may follow; one id is a forced token."""
        if state.phase == "end":
            return (self.eos_id,)
        if state.phase == "separator":
            return (self.separator[len(state.current)],)
        if state.phase == "label":
            return self._after_label_part(state.current[4 + self.num_codes :])
        if len(state.current) >= 4:
            return self.seg_ids
        if state.current or state.seen:
            return self.loc_ids
        return (*self.loc_ids, self.eos_id)

    def advance(self, state: State, token: int) -> State | None:
        """The state after a token, or None where the token breaks the form."""
        if token not in self.allowed(state):
            return None
        if state.phase == "separator":
            return self._in_separator(replace(state, current=(*state.current, token)))
        if state.phase == "label" and self._is_label(state) and token not in self._longer(state):
            return self._close_object(state, token)
        if token == self.eos_id:
            return replace(state, phase="end")
        current = (*state.current, token)
        phase: Phase = "object" if len(current) < 4 + self.num_codes else "label"
        return replace(state, phase=phase, current=current)

    def _close_object(self, state: State, token: int) -> State:
        """A whole object, then a separator or <eos>."""
        key = state.current[:4] + state.current[4 + self.num_codes :]
        seen, repeated = state.seen | {key}, key in state.seen
        if token == self.eos_id:
            return State("end", (), seen, repeated)
        return self._in_separator(State("separator", (token,), seen, repeated))

    def _in_separator(self, state: State) -> State:
        if len(state.current) < len(self.separator):
            return state
        return State("object", (), state.seen)

    def _after_label_part(self, part: tuple[int, ...]) -> tuple[int, ...]:
        following = {label[len(part)]: None for label in self.labels if _continues(label, part)}
        if part in self.labels:
            following |= {self.separator[0]: None, self.eos_id: None}
        return tuple(following)

    def _is_label(self, state: State) -> bool:
        return state.current[4 + self.num_codes :] in self.labels

    def _longer(self, state: State) -> set[int]:
        """Ids that continue a label of which the current label is only the beginning."""
        part = state.current[4 + self.num_codes :]
        return {label[len(part)] for label in self.labels if _continues(label, part)}


def _continues(label: tuple[int, ...], part: tuple[int, ...]) -> bool:
    return len(label) > len(part) and label[: len(part)] == part
