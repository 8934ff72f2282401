"""Pictures that stand where they should not: twice in a split, or in two splits."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from palikit.data.check_pictures import PictureFacts, shared_files
from palikit.data.records import Problem
from palikit.data.rows import Row

_KEPT_FIRST = ("test", "val", "valid", "validation", "dev")
"""Splits that keep a picture which another split has too, the first first; all others after."""

_EXPORT_MARK = ".rf."
"""Roboflow names the augmented copies of a picture after it: NAME.rf.HASH.jpg."""

Pictures = Mapping[Path, PictureFacts]


def split_of(row: Row) -> str:
    """The row's split; rows without one are for training."""
    return row.split or "train"


def rank(split: str) -> int:
    """0 for the split that keeps a shared picture before all others."""
    return _KEPT_FIRST.index(split) if split in _KEPT_FIRST else len(_KEPT_FIRST)


def identity(path: Path, pictures: Pictures) -> str:
    """The same for files of equal pixels; a file that cannot be read is like itself only."""
    facts = pictures.get(path)
    return facts.digest if facts is not None and facts.digest else str(path)


def split_problems(rows: Sequence[Row], pictures: Pictures) -> Iterator[Problem]:
    """Rows that repeat within a split, and pictures that two splits share."""
    yield from _repeated_rows(rows, pictures)
    yield from _leaks(rows, pictures)
    yield from _names_in_several(rows, pictures)


def repeated_rows(rows: Sequence[Row], pictures: Pictures) -> Iterator[tuple[Row, Row]]:
    """Rows of one split with equal pictures and texts: the one that stands first, the other."""
    seen: dict[tuple[object, ...], Row] = {}
    for row in rows:
        files = tuple(identity(path, pictures) for path in row.images)
        key = (split_of(row), files, row.prefix, frozenset(row.suffixes))
        if (first := seen.setdefault(key, row)) is not row:
            yield first, row


def leaks(rows: Sequence[Row], pictures: Pictures) -> Iterator[tuple[Row, Row]]:
    """Rows with a picture that a split of higher rank has too: the one kept, the one that leaks."""
    owner: dict[str, Row] = {}
    for row in rows:
        for path in row.images:
            key = identity(path, pictures)
            if key not in owner or rank(split_of(row)) < rank(split_of(owner[key])):
                owner[key] = row
    for row in rows:
        owners = (owner[identity(path, pictures)] for path in row.images)
        other = next((each for each in owners if split_of(each) != split_of(row)), None)
        if other is not None:
            yield other, row


def same_picture_other_text(rows: Sequence[Row]) -> int:
    """Files that several rows of one split ask different things about, which is fine."""
    texts: dict[tuple[object, ...], set[object]] = defaultdict(set)
    for row in rows:
        texts[split_of(row), row.images].add((row.prefix, row.suffixes))
    return sum(len(each) > 1 for each in texts.values())


def shared_picture(rows_by_split: Mapping[str, Sequence[Row]]) -> Problem | None:
    """The first picture file that two splits share; files are compared, not decoded."""
    of = {
        split: [path for row in rows for path in row.images]
        for split, rows in rows_by_split.items()
    }
    found = next(shared_files(of), None)
    if found is None:
        return None
    first, first_split, second, split = found
    row = next(row for row in rows_by_split[split] if second in row.images)
    return _leak(row, second, first, split, first_split)


def _repeated_rows(rows: Sequence[Row], pictures: Pictures) -> Iterator[Problem]:
    for first, row in repeated_rows(rows, pictures):
        yield Problem(
            row.where,
            f"the row has the picture and the texts of {first.where}: keep one",
            is_error=False,
            kind="repeated row",
        )
    files: dict[tuple[str, str], Path] = {}
    for split, path, row in _each_file(rows):
        if (first_file := files.setdefault((split, identity(path, pictures)), path)) != path:
            yield Problem(
                row.where,
                f"{path.name} is the same picture as {first_file}: keep one file",
                is_error=False,
                kind="duplicate picture",
            )


def _each_file(rows: Sequence[Row]) -> Iterator[tuple[str, Path, Row]]:
    """Every file of every split once, with the row that names it first."""
    seen: set[tuple[str, Path]] = set()
    for row in rows:
        for path in row.images:
            if (split_of(row), path) not in seen:
                seen.add((split_of(row), path))
                yield split_of(row), path, row


def _leaks(rows: Sequence[Row], pictures: Pictures) -> Iterator[Problem]:
    for other, row in leaks(rows, pictures):
        kept = {identity(path, pictures): path for path in other.images}
        path = next(path for path in row.images if identity(path, pictures) in kept)
        first = kept[identity(path, pictures)]
        yield _leak(row, path, first, split_of(row), split_of(other))


def _leak(row: Row, path: Path, first: Path, split: str, first_split: str) -> Problem:
    same = "" if path == first else f" (there {first.name})"
    return Problem(
        row.where,
        f"{path.name} is in {split} and in {first_split}{same}, which makes scores look better "
        "than they are: take it out of one of them, or let "
        "`palikit data check --fix` do so",
        is_error=True,
        kind="picture in two splits",
    )


def _names_in_several(rows: Sequence[Row], pictures: Pictures) -> Iterator[Problem]:
    """Names that stand in several splits for different pictures: perhaps copies of one."""
    places: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for split, path, _ in _each_file(rows):
        places[path.name.partition(_EXPORT_MARK)[0]][split].add(identity(path, pictures))
    for name, splits in places.items():
        counts = Counter(each for files in splits.values() for each in files)
        if len(splits) > 1 and max(counts.values()) == 1:
            yield Problem(
                f"splits {' and '.join(sorted(splits))}",
                f"pictures named {name} are in several splits and differ: see that they are not "
                "versions of one picture",
                is_error=False,
                kind="picture name in two splits",
            )
