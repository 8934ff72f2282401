"""The automaton of boxes: what it allows, what it forces, what it notices."""

import pytest

from palikit.grammar import ObjectGrammar, State

LOC, SEG, EOS, CAT, FISH, DOG, SEMI, SPACE = range(100, 140), range(200, 210), 1, 2, 3, 4, 5, 6
"""Labels are "cat" (2), "cat fish" (2, 3) and "dog" (4); the separator is 5, 6."""


def grammar(num_codes: int = 0) -> ObjectGrammar:
    return ObjectGrammar(LOC, SEG, num_codes, [(CAT,), (CAT, FISH), (DOG,)], (SEMI, SPACE), EOS)


def follow(rules: ObjectGrammar, *tokens: int) -> State | None:
    state: State | None = rules.start
    for token in tokens:
        assert state is not None
        state = rules.advance(state, token)
    return state


@pytest.mark.parametrize(
    ("tokens", "allowed"),
    [
        ((), {*LOC, EOS}),
        ((100,), set(LOC)),
        ((100, 101, 102, 103), {CAT, DOG}),
        ((100, 101, 102, 103, CAT), {FISH, SEMI, EOS}),
        ((100, 101, 102, 103, CAT, FISH), {SEMI, EOS}),
        ((100, 101, 102, 103, DOG, SEMI), {SPACE}),
        ((100, 101, 102, 103, DOG, SEMI, SPACE), set(LOC)),
        ((EOS,), {EOS}),
    ],
)
def test_after_these_tokens_these_are_allowed(tokens: tuple[int, ...], allowed: set[int]) -> None:
    rules = grammar()
    state = follow(rules, *tokens)
    assert state is not None
    assert set(rules.allowed(state)) == allowed


def test_segments_have_their_codes_between_box_and_label() -> None:
    rules = grammar(num_codes=2)
    state = follow(rules, 100, 101, 102, 103)
    assert state is not None
    assert set(rules.allowed(state)) == set(SEG)
    state = follow(rules, 100, 101, 102, 103, 200, 201)
    assert state is not None
    assert set(rules.allowed(state)) == {CAT, DOG}


def test_a_token_that_is_not_allowed_leaves_the_grammar() -> None:
    assert follow(grammar(), DOG) is None
    assert follow(grammar(), 100, 101, EOS) is None


def test_the_same_box_with_the_same_label_is_a_repetition() -> None:
    rules, box = grammar(), (100, 101, 102, 103)
    again = follow(rules, *box, CAT, SEMI, SPACE, *box, CAT, SEMI)
    assert again is not None
    assert again.repeated
    other_label = follow(rules, *box, CAT, SEMI, SPACE, *box, CAT, FISH, EOS)
    assert other_label is not None
    assert not other_label.repeated
    other_box = follow(rules, *box, CAT, SEMI, SPACE, 101, *box[1:], CAT, EOS)
    assert other_box is not None
    assert not other_box.repeated


def test_codes_do_not_make_a_repetition_new() -> None:
    rules, box = grammar(num_codes=2), (100, 101, 102, 103)
    again = follow(rules, *box, 200, 201, CAT, SEMI, SPACE, *box, 202, 203, CAT, EOS)
    assert again is not None
    assert again.repeated
