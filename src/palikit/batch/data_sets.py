"""Data sets as inputs of a batch: the pictures they name, whatever else they say of them."""

from collections.abc import Iterable
from pathlib import Path

from palikit.batch.sources import Source
from palikit.data.hugging_face import is_hugging_face
from palikit.data.reading import read_source
from palikit.data.rows import Rows

_ENDINGS = (".json", ".jsonl", ".csv", ".yaml", ".yml")


def is_data_set(word: str) -> bool:
    """Whether an argument is a data set's file, or a folder that `datasets` has saved."""
    path = Path(word)
    if path.suffix.lower() in _ENDINGS:
        return path.is_file()
    return path.is_dir() and is_hugging_face(path)


def sources_of(word: str, pictures: Path) -> list[Source]:
    """The pictures of a data set, each once; several of one record are one input.

    Args:
        word: see `is_data_set`.
        pictures: folder for pictures that have no files of their own.

    Raises:
        InputError: it cannot be read.
        MissingExtraError: a package is missing.
    """
    found = read_source(word, pictures=pictures)
    each = found.rows if isinstance(found, Rows) else found.records
    return single(
        Source(", ".join(map(str, one.images)), tuple(map(str, one.images))) for one in each
    )


def single(sources: Iterable[Source]) -> list[Source]:
    """Sources in their order, without those that are there already."""
    return list({source.key: source for source in sources}.values())
