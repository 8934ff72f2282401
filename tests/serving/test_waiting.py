"""The line before the model: order, bounds, and what is made ready ahead."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest

from palikit import tasks
from palikit.options import GenerationOptions
from palikit.request import Request
from palikit.serving import waiting
from palikit.serving.entries import Entry, Ready
from palikit.serving.jobs import Job, OverloadedError
from palikit.serving.waiting import WaitingLine
from tests import tiny

if TYPE_CHECKING:
    from palikit.serving.tickets import LoopTicket


class Ticket:
    is_cancelled = False


def entry(pictures: int = 1, *, is_ready: bool = True) -> Entry:
    request = Request((tiny.picture(),) * pictures, tasks.ocr(), "x")
    made = Entry(Job("x", request, GenerationOptions(), None), cast("LoopTicket", Ticket()))
    if is_ready:
        make_ready(made)
    return made


def make_ready(made: Entry) -> None:
    made.ready = cast("Ready", object())


def line_of(
    entries: list[Entry], prepare: Callable[[Entry], Any] = lambda _: None, **arguments: int
) -> WaitingLine:
    line = WaitingLine(arguments.get("max_length", 100), arguments.get("bytes", 1), prepare)
    for each in entries:
        line.put(each, float)
    return line


def at_most(number: int) -> Callable[[list[Entry]], bool]:
    return lambda group: len(group) <= number


def test_groups_are_taken_in_the_order_of_arrival() -> None:
    entries = [entry() for _ in range(5)]
    line = line_of(entries)
    assert line.take(at_most(2)) == entries[:2]
    assert line.take(at_most(9)) == entries[2:]
    assert line.take(at_most(9)) == []
    assert line.is_empty


def test_a_group_has_one_number_of_pictures_and_the_oldest_leads_the_next() -> None:
    one, two, three, four, five = (entry(n) for n in (1, 2, 1, 2, 3))
    line = line_of([one, two, three, four, five])
    assert line.take(at_most(9)) == [one, three]
    line.put(six := entry(1), float)
    assert line.take(at_most(9)) == [two, four]
    assert line.take(at_most(9)) == [five]
    assert line.take(at_most(9)) == [six]


def test_the_oldest_that_does_not_fit_is_waited_for() -> None:
    large, small = entry(8), entry(1)
    line = line_of([large, small])
    assert line.take(lambda group: group[0] is not large) == []
    assert line.take(at_most(9)) == [large]


def test_what_is_not_ready_is_passed_by() -> None:
    slow, quick = entry(is_ready=False), entry()
    line = line_of([slow, quick])
    assert line.num_ready == 1
    assert line.take(at_most(9)) == [quick]
    assert line.num_ready == 0
    make_ready(slow)
    assert line.take(at_most(9)) == [slow]


def test_a_full_line_refuses_and_says_when_half_of_it_will_be_gone() -> None:
    line = line_of([entry() for _ in range(7)], max_length=7)
    with pytest.raises(OverloadedError, match="7 requests wait already") as error:
        line.put(entry(), lambda number: number * 1.5)
    assert error.value.retry_after == 6.0
    assert len(line) == 7


def test_room_is_seen_without_being_taken_and_less_those_on_their_way() -> None:
    line = line_of([entry() for _ in range(4)], max_length=7)
    for _ in range(3):
        line.check_room(2, float)
    with pytest.raises(OverloadedError, match="7 requests wait already"):
        line.check_room(3, float)


def test_places_of_those_who_have_left_are_free() -> None:
    entries = [entry() for _ in range(3)]
    line = line_of(entries, max_length=3)
    entries[1].ticket.is_cancelled = True
    assert len(line) == 2
    line.put(entry(), float)
    with pytest.raises(OverloadedError):
        line.put(entry(), float)
    assert line.remove(lambda each: each.ticket.is_cancelled) == [entries[1]]
    assert len(line) == 3


def test_jobs_are_made_ready_in_order_and_only_so_far_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MAX_AHEAD_BYTES", 300)
    begun: list[Entry] = []
    entries = [entry(n) for n in (2, 1, 1, 1, 9)]
    line = line_of(entries, begun.append, bytes=100)
    assert begun == entries[:2]
    line.remove(lambda each: each is entries[0])
    assert begun == entries[:4]
    line.remove(lambda each: each is not entries[4])
    assert begun == entries  # too large, but the first
