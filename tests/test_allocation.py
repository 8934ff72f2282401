"""Memory that is freed: kept for the next layer, and given back when it is asked for."""

import subprocess
import sys

import pytest

from palikit import allocation

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="resident memory as Linux counts it"
)

PROGRAM = """
from pathlib import Path
from threading import Event, Thread
from palikit.allocation import keep_freed_memory, return_freed_memory, share_one_heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def work(done, end):
    blocks = [b"x" * 2**20 for _ in range(40)]
    del blocks
    done.set()
    end.wait()

{begin}
keep_freed_memory()
before, end = resident(), Event()
for _ in range(4):
    done = Event()
    Thread(target=work, args=(done, end)).start()
    done.wait()
kept = resident() - before
return_freed_memory()
print(kept, resident() - before)
end.set()
"""


def kept_and_left(begin: str) -> tuple[int, int]:
    """MiB of four threads that have freed 40 each: before and after they are given back."""
    command = [sys.executable, "-c", PROGRAM.format(begin=begin)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, left = (int(each) // 2**20 for each in ended.stdout.split())
    return kept, left


def test_memory_that_was_kept_is_given_back_by_all_threads_of_one_heap() -> None:
    kept, left = kept_and_left("share_one_heap()")
    assert kept >= 35
    assert left <= 5


@pytest.mark.parametrize(
    ("largest", "taken"), [(2**30, [2**30]), (2**25, [2**25]), (0, [])], ids=str
)
def test_a_library_that_takes_less_is_asked_for_less_or_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, largest: int, taken: list[int]
) -> None:
    values: dict[int, int] = {}

    def mallopt(option: int, value: int) -> int:
        if option == allocation._MMAP_THRESHOLD and value > largest:
            return 0
        values[option] = value
        return 1

    monkeypatch.setattr(allocation, "_of_c_library", lambda _: mallopt)
    allocation.keep_freed_memory()
    assert [values[each] for each in (allocation._MMAP_THRESHOLD,) if each in values] == taken
    assert (allocation._TRIM_THRESHOLD in values) == bool(taken)


def test_threads_with_heaps_of_their_own_keep_some() -> None:
    _, left = kept_and_left("")
    assert left > 20
