"""The search for garbage, kept from where there is none: imports make objects that stay."""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search() -> Iterator[None]:
    """No search inside; with torch it is a tenth of the time of its import."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def no_search_at_end() -> None:
    """None when the process ends, which frees everything; with torch it takes a quarter second."""
    atexit.register(gc.freeze)
