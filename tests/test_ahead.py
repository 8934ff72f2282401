"""Work in threads before its turn: order, bound, errors in their place, and no thread left."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from palikit import ahead
from palikit.ahead import Workers, mapped_ahead


def at_work() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "palikit-ahead"]


def test_results_come_in_order_however_long_each_takes() -> None:
    def slow_when_even(item: int) -> int:
        time.sleep(0.01 * (item % 2 == 0))
        return item * item

    assert list(mapped_ahead(slow_when_even, range(20), ahead=5)) == [n * n for n in range(20)]
    assert not at_work()


def test_items_are_taken_up_to_the_bound_and_no_further() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    results = mapped_ahead(str, items(), ahead=3)
    assert taken == []
    for number in range(10):
        assert next(results) == str(number)
        assert taken == list(range(min(number + 3, 10)))


@pytest.mark.parametrize(("weight", "ahead_of"), [(1, 6), (2, 3), (4, 2), (100, 2)])
def test_heavy_items_are_taken_by_their_weight_and_two_at_least(weight: int, ahead_of: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = mapped_ahead(str, items(), ahead=6, weigh=lambda _: weight)
    for number in range(10):
        assert next(results) == str(number)
        assert len(taken) == number + ahead_of
    results.close()


def test_work_goes_on_while_the_caller_does_something_else() -> None:
    done = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            done.set()
        return item

    results = mapped_ahead(work, range(3), ahead=2)
    next(results)
    assert done.wait(5)


def test_a_single_item_is_worked_on_by_the_caller() -> None:
    here = threading.get_ident()
    assert list(mapped_ahead(lambda _: threading.get_ident(), [0], ahead=4)) == [here]
    assert here not in list(mapped_ahead(lambda _: threading.get_ident(), [0, 1], ahead=4))
    assert list(mapped_ahead(str, [], ahead=4)) == []


def test_an_error_is_raised_in_its_place_and_ends_the_threads() -> None:
    results = mapped_ahead(lambda item: 6 // item, [3, 2, 0, 1], ahead=4)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not at_work()


def test_who_leaves_early_leaves_no_thread_and_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MAX_THREADS", 1)
    begun: list[int] = []
    go = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        assert go.wait(5) or item == 0
        return item

    go.set()
    results = mapped_ahead(work, range(100), ahead=50)
    next(results)
    go.clear()
    threading.Timer(0.1, go.set).start()
    results.close()
    assert not at_work()
    assert len(begun) < 52


def test_work_that_does_not_end_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "_GRACE_S", 0.05)
    go = threading.Event()
    results = mapped_ahead(lambda item: item or go.wait(5), [1, 0, 1], ahead=3)
    next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 2
    assert all(thread.daemon for thread in at_work())
    go.set()
    for thread in at_work():
        thread.join(5)


def test_results_are_let_go_once_they_are_taken() -> None:
    class Big:
        alive = 0

        def __init__(self, _: int) -> None:
            Big.alive += 1

        def __del__(self) -> None:
            Big.alive -= 1

    most = 0
    for _ in mapped_ahead(Big, range(30), ahead=3):
        most = max(most, Big.alive)
    assert most <= 5  # those ahead, the one in hand, and the one that was before it


def test_threads_compute_tensors_alone_and_leave_the_others_their_number() -> None:
    common = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        workers = Workers(lambda _: torch.get_num_threads(), 2)
        inside = [workers.submit(number).result() for number in range(8)]
        workers.close()
        later: list[int] = []
        thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert set(inside) == {1}
        assert [torch.get_num_threads(), *later] == [3, 3]
    finally:
        torch.set_num_threads(common)
