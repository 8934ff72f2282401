"""Official files with something else in any place are read, or refused in one sentence."""

import json
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from palikit.errors import InputError
from palikit.evaluation.benchmarks import BENCHMARKS, benchmark_named
from tests.evaluation.benchmarks.test_layouts import CASES

NAMES = [benchmark.name for benchmark in BENCHMARKS]

OTHER_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**30,
    0.5,
    "",
    "x",
    "../x",
    [],
    [1],
    {},
    {"a": 1},
)

TRIALS = 10


@pytest.mark.parametrize("name", NAMES)
def test_another_value_in_any_place_raises_nothing_but_input_errors(
    name: str, tmp_path: Path
) -> None:
    case, benchmark = CASES[name], benchmark_named(name)
    case.write(tmp_path)
    random = Random(name)
    files = [path for path in sorted(tmp_path.rglob("*")) if is_text(path)]
    for _ in range(TRIALS):
        path = random.choice(files)
        before = path.read_bytes()
        path.write_bytes(damaged(before, path.suffix, random))
        with suppress(InputError):
            list(benchmark.read(tmp_path, case.split or benchmark.splits[0]))
        path.write_bytes(before)


def is_text(path: Path) -> bool:
    endings = (".json", ".jsonl", ".jsonlines", ".csv", ".txt", ".krn")
    return path.is_file() and path.suffix in endings


def damaged(content: bytes, suffix: str, random: Random) -> bytes:
    """The file with one value exchanged where it is JSON, else with some bytes."""
    if suffix == ".json" or suffix.startswith(".jsonl"):
        try:
            return json.dumps(exchanged(json.loads(content), random)).encode()
        except ValueError:
            lines = content.decode().splitlines()
            place = random.randrange(len(lines))
            lines[place] = json.dumps(exchanged(json.loads(lines[place]), random))
            return "\n".join(lines).encode()
    place = random.randrange(len(content))
    return (
        content[:place] + random.choice((b"", b"\xff", b',"', b"\n", b"[")) + content[place + 1 :]
    )


def exchanged(value: Any, random: Random) -> Any:
    """The value, with another one in one place of it."""
    if random.random() < 0.15 or not isinstance(value, dict | list) or not value:
        return random.choice(OTHER_VALUES)
    if isinstance(value, list):
        place = random.randrange(len(value))
        return [*value[:place], exchanged(value[place], random), *value[place + 1 :]]
    key = random.choice(list(value))
    return {**value, key: exchanged(value[key], random)}
