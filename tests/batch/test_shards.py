"""A folder of answers in shards: nothing is lost, nothing asked twice, whatever ended the run."""

import json
from pathlib import Path

import pytest

from palikit import tasks
from palikit.batch import Asked, Failure, Question, Settings, Shards, Source, answer_each
from palikit.batch.data_sets import is_data_set, sources_of
from palikit.batch.parquet import ParquetLayout
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions
from palikit.records import Layout
from palikit.tasks import Task
from tests.fake_predictor import FakePredictor, write_picture

SETTINGS = Settings(LoadOptions(), GenerationOptions())
DETECT = tasks.detect("cat ; dog")
FORMATS = ("jsonl", "coco", "parquet")


def asked(file_format: str = "jsonl", task: Task = DETECT) -> Asked:
    layout = (
        ParquetLayout(task.name)
        if file_format == "parquet"
        else Layout(file_format, task.name, many=True, labels=task.labels)
    )
    return Asked(Question.of(task), "fake", SETTINGS, layout)


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    files = [write_picture(tmp_path / "in" / f"{i}.png", width=10 + i) for i in range(7)]
    return [Source(str(file), (str(file),)) for file in files]


def run(
    folder: Path,
    sources: list[Source],
    wanted: Asked | None = None,
    *,
    stop_after: int | None = None,
    overwrite: bool = False,
    size: int = 3,
) -> tuple[list[str], list[Failure]]:
    """What was asked about in this run, and what failed."""
    wanted = wanted or asked()
    predictor = FakePredictor()
    with Shards(folder, wanted, sources, size, overwrite=overwrite) as shards:
        todo = [source.name for source in shards.todo]
        answers = answer_each(
            predictor, shards.todo, [wanted.question.task_for], SETTINGS.generation, batch_size=2
        )
        for number, answer in enumerate(answers):
            if number == stop_after:
                return todo, shards.failures
            shards.take(answer)
        shards.end(is_whole=True)
        return todo, shards.failures


def inputs_in(folder: Path) -> list[str]:
    lines = [
        line
        for file in sorted(folder.glob("part-*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [json.loads(line)["input"] for line in lines]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("part-*"))}


def test_answers_stand_in_shards_in_the_order_of_the_inputs(
    tmp_path: Path, sources: list[Source]
) -> None:
    run(tmp_path / "out", sources)
    assert list(contents(tmp_path / "out")) == [f"part-0000{n}.jsonl" for n in range(3)]
    assert inputs_in(tmp_path / "out") == [source.name for source in sources]


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("stop_after", [0, 1, 3, 4])
def test_a_run_that_was_stopped_ends_with_the_same_files(
    tmp_path: Path, sources: list[Source], file_format: str, stop_after: int
) -> None:
    run(tmp_path / "whole", sources, asked(file_format))
    run(tmp_path / "stopped", sources, asked(file_format), stop_after=stop_after)
    todo, _ = run(tmp_path / "stopped", sources, asked(file_format))
    assert todo == [source.name for source in sources[stop_after:]]
    assert contents(tmp_path / "stopped") == contents(tmp_path / "whole")
    assert run(tmp_path / "stopped", sources, asked(file_format))[0] == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_failed_is_told_and_tried_again(
    tmp_path: Path, sources: list[Source], file_format: str
) -> None:
    bad = [Path(sources[n].name) for n in (1, 6)]  # one among others, one with a shard of its own
    kept = [file.read_bytes() for file in bad]
    for file in bad:
        file.write_bytes(b"no picture")
    out = tmp_path / "out"
    _, failures = run(out, sources, asked(file_format))
    told = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [each.name for each in failures] == [each["input"] for each in told] == [*map(str, bad)]
    for file, data in zip(bad, kept, strict=True):
        file.write_bytes(data)
    todo, failures = run(out, sources, asked(file_format))
    assert todo == [*map(str, bad)]
    assert not failures
    assert not (out / "failures.jsonl").exists()
    assert not list(out.glob("*.partial.jsonl"))


def test_new_inputs_make_new_shards_and_touch_no_other(
    tmp_path: Path, sources: list[Source]
) -> None:
    out = tmp_path / "out"
    run(out, sources[1:], asked("coco"))
    before = contents(out)
    todo, _ = run(out, sources, asked("coco"))
    assert todo == [sources[0].name]
    assert {name: contents(out)[name] for name in before} == before
    assert len(contents(out)) == len(before) + 1


@pytest.mark.parametrize("file_format", FORMATS)
def test_inputs_that_are_gone_keep_their_answers(
    tmp_path: Path, sources: list[Source], file_format: str
) -> None:
    out = tmp_path / "out"
    run(out, sources, asked(file_format))
    assert run(out, sources[2:], asked(file_format))[0] == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_answers_to_another_question_are_refused(
    tmp_path: Path, sources: list[Source], file_format: str
) -> None:
    run(tmp_path, sources, asked(file_format))
    before = contents(tmp_path)
    with pytest.raises(InputError, match="--output another name"):
        run(tmp_path, sources, asked(file_format, tasks.detect("bird")))
    assert contents(tmp_path) == before


def test_another_format_is_refused(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path, sources)
    with pytest.raises(InputError, match="another format"):
        run(tmp_path, sources, asked("coco"))


def test_files_of_others_are_left_alone(tmp_path: Path, sources: list[Source]) -> None:
    (tmp_path / "part-00000.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="not made by this command"):
        run(tmp_path, sources)
    with pytest.raises(InputError, match=r"part-00000.jsonl is a file: give --output"):
        run(tmp_path / "part-00000.jsonl", sources)
    assert (tmp_path / "part-00000.jsonl").read_text() == "{}\n"


def test_overwriting_begins_anew_in_another_format_too(
    tmp_path: Path, sources: list[Source]
) -> None:
    run(tmp_path, sources)
    todo, _ = run(tmp_path, sources, asked("coco"), overwrite=True)
    assert len(todo) == len(sources)
    assert {Path(name).suffix for name in contents(tmp_path)} == {".json"}


def test_two_runs_do_not_write_one_folder(tmp_path: Path, sources: list[Source]) -> None:
    with (
        Shards(tmp_path, asked(), sources, 3, overwrite=False),
        pytest.raises(InputError, match="another run"),
    ):
        run(tmp_path, sources)


def test_parquet_holds_boxes_as_numbers(tmp_path: Path, sources: list[Source]) -> None:
    from pyarrow import parquet

    run(tmp_path, sources, asked("parquet"))
    rows = parquet.read_table(tmp_path / "part-00000.parquet").to_pylist()
    assert [row["input"] for row in rows] == [source.name for source in sources[:3]]
    first = rows[0]["objects"][0]
    assert first["label"] == "cat"
    assert (first["x1"], first["y2"]) == (0.0, 4.0)
    assert rows[0]["unparsed"] == "<loc0001>"


def test_parquet_holds_outlines_and_texts(tmp_path: Path, sources: list[Source]) -> None:
    from pyarrow import parquet

    run(tmp_path / "masks", sources, asked("parquet", tasks.segment("cat")))
    run(tmp_path / "texts", sources, asked("parquet", tasks.ocr()))
    masks = parquet.read_table(tmp_path / "masks" / "part-00000.parquet").to_pylist()
    assert masks[0]["objects"][0]["codes"] == list(range(16))
    assert masks[0]["objects"][0]["mask"]
    texts = parquet.read_table(tmp_path / "texts" / "part-00000.parquet")
    assert "objects" not in texts.column_names


def test_the_pictures_of_a_data_set_are_inputs_once(tmp_path: Path) -> None:
    for n in range(2):
        write_picture(tmp_path / f"{n}.png")
    rows = [{"image": f"{n}.png", "prefix": "caption en", "suffix": "x"} for n in (0, 1, 0)]
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert is_data_set(str(file))
    found = sources_of(str(file), tmp_path / "pictures")
    assert [Path(source.name).name for source in found] == ["0.png", "1.png"]


def test_what_is_overwritten_stays_until_there_is_an_answer_to_take_its_place(
    tmp_path: Path, sources: list[Source]
) -> None:
    run(tmp_path / "out", sources)
    before = contents(tmp_path / "out")
    run(tmp_path / "out", sources, asked(task=tasks.ocr()), overwrite=True, stop_after=0)
    assert contents(tmp_path / "out") == before
    run(tmp_path / "out", sources, asked(task=tasks.ocr()), overwrite=True, stop_after=1)
    assert inputs_in(tmp_path / "out") == [sources[0].name]
    todo, _ = run(tmp_path / "out", sources, asked(task=tasks.ocr()))
    assert todo == [source.name for source in sources[1:]]


def test_failures_alone_overwrite_nothing(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path / "out", sources)
    before = contents(tmp_path / "out")
    with Shards(tmp_path / "out", asked(), sources, 3, overwrite=True) as shards:
        for source in shards.todo:
            shards.take(Failure(source.name, InputError("no picture")))
        shards.end(is_whole=True)
    assert contents(tmp_path / "out") == before


def test_overwriting_leaves_parts_of_others_alone(tmp_path: Path, sources: list[Source]) -> None:
    theirs = tmp_path / "part-00000-6a1f.snappy.parquet"
    theirs.write_bytes(b"theirs")
    run(tmp_path, sources, overwrite=True)
    assert theirs.read_bytes() == b"theirs"


def test_a_refused_run_changes_no_plan(tmp_path: Path, sources: list[Source]) -> None:
    run(tmp_path / "out", sources[:3])
    plan = (tmp_path / "out" / ".inputs.json").read_bytes()
    (tmp_path / "out" / "part-00001.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="is no answer of PaliKit"):
        run(tmp_path / "out", sources)
    assert (tmp_path / "out" / ".inputs.json").read_bytes() == plan
