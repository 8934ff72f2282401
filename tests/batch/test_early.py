"""Inputs are opened before they are asked for, and only so many."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from palikit.batch import EarlyInputs, Source, early
from palikit.errors import InputError


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    """Pictures of 10, 11, 12 and 13 pixels."""
    found = []
    for side in range(10, 14):
        file = tmp_path / f"{side}.png"
        Image.new("RGB", (side, side)).save(file)
        found.append(Source(str(file), (str(file),)))
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was opened, in their order; "/" behind those that the thread opened."""
    names: list[str] = []
    real = early.open_source

    def noted(source: Source, frames: int | None) -> Any:
        is_early = threading.current_thread().name == "palikit-early"
        names.append(Path(source.name).name + ("/" if is_early else ""))
        return real(source, frames)

    monkeypatch.setattr(early, "open_source", noted)
    return names


def held_up(
    monkeypatch: pytest.MonkeyPatch, hold: Callable[[], object]
) -> tuple[threading.Event, list[str]]:
    """Opening waits first; an event for its first begin, and names of what was begun."""
    begun, names, real = threading.Event(), [], early.open_source

    def slow(source: Source, frames: int | None) -> Any:
        names.append(source.name)
        begun.set()
        hold()
        return real(source, frames)

    monkeypatch.setattr(early, "open_source", slow)
    return begun, names


def wait_for_end() -> None:
    for thread in threading.enumerate():
        if thread.name == "palikit-early":
            thread.join(10)


def test_inputs_are_opened_before_they_are_taken(sources: list[Source], opened: list[str]) -> None:
    inputs = EarlyInputs(sources)
    wait_for_end()
    assert opened == ["10.png/", "11.png/", "12.png/", "13.png/"]
    assert [inputs.take(each)[0].width for each in sources] == [10, 11, 12, 13]
    assert len(opened) == 4


def test_what_no_thread_has_begun_is_opened_when_taken(
    sources: list[Source], opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early, "MAX_BYTES", 11 * 11 * 4 + 10 * 10 * 4 - 1)
    inputs = EarlyInputs(sources)
    wait_for_end()
    assert [inputs.take(each)[0].width for each in sources] == [10, 11, 12, 13]
    assert opened == ["10.png/", "11.png/", "12.png", "13.png"]


def test_none_is_begun_after_the_end(
    sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    begun, count = held_up(monkeypatch, lambda: goes_on.wait(10))
    inputs = EarlyInputs(sources)
    begun.wait(10)
    inputs.end()
    goes_on.set()
    wait_for_end()
    assert count == [sources[0].name]
    assert [inputs.take(each)[0].width for each in sources] == [10, 11, 12, 13]


def test_an_input_at_work_is_waited_for_and_opened_once(
    sources: list[Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, count = held_up(monkeypatch, lambda: time.sleep(0.1))
    inputs = EarlyInputs(sources[:1])
    begun.wait(10)
    assert inputs.take(sources[0])[0].width == 10
    assert len(count) == 1


def test_what_is_wrong_with_an_input_is_told_where_it_is_taken(
    sources: list[Source], tmp_path: Path
) -> None:
    missing = Source(str(tmp_path / "none.png"), (str(tmp_path / "none.png"),))
    inputs = EarlyInputs([missing, sources[0]])
    wait_for_end()
    with pytest.raises(InputError, match="no such file"):
        inputs.take(missing)
    assert inputs.take(sources[0])[0].width == 10
