"""The quicker of two ways is taken, and the other is tried now and then."""

from collections.abc import Callable

import pytest

from palikit.quantization import quicker
from palikit.quantization.quicker import Quicker


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What each way takes, by a clock of its own."""
    taken, now = {"one": 1.0, "other": 1.0}, 0.0

    def clock() -> float:
        return now

    def way(name: str) -> Callable[[int], str]:
        def run(_: int) -> str:
            nonlocal now
            now += taken[name]
            return name

        return run

    monkeypatch.setattr(quicker, "perf_counter", clock)
    taken_ways["one"], taken_ways["other"] = way("one"), way("other")
    return taken


taken_ways: dict[str, Callable[[int], str]] = {}


def made() -> Quicker[[int], str]:
    return Quicker(taken_ways["one"], taken_ways["other"], lambda size: size)


def test_both_are_tried_and_then_the_quicker_one_is_taken(seconds: dict[str, float]) -> None:
    seconds["one"] = 2.0
    choose = made()
    assert [choose(5) for _ in range(7)] == ["one"] + ["other"] * 6


def test_every_sixteenth_time_the_slower_one_is_tried(seconds: dict[str, float]) -> None:
    seconds["other"] = 2.0
    choose = made()
    assert [choose(5) for _ in range(48)].count("other") == 4  # one of them to begin with


def test_who_becomes_quicker_is_taken_from_then_on(seconds: dict[str, float]) -> None:
    seconds["other"] = 2.0
    choose = made()
    for _ in range(20):
        choose(5)
    seconds["one"], seconds["other"] = 2.0, 1.0
    assert [choose(5) for _ in range(70)][-7:].count("other") >= 6


def test_sizes_are_told_apart(seconds: dict[str, float]) -> None:
    choose = made()
    seconds["one"] = 2.0
    for _ in range(4):
        choose(5)
    seconds["one"], seconds["other"] = 1.0, 2.0
    for _ in range(4):
        choose(6)
    assert choose(5) == "other"
    assert choose(6) == "one"
