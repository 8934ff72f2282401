"""The folder of an evaluation: what it may be written over, and what it is not."""

from pathlib import Path

import pytest

from palikit.errors import InputError
from palikit.evaluation.answer_folder import AnswerFolder

IDENTITY = {"exam": "docvqa", "generation": {"seed": 0}}
RECORD = {"id": "1", "answer": "a"}


def test_a_folder_of_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    folder = AnswerFolder(tmp_path, IDENTITY)
    with pytest.raises(InputError, match="holds files and no evaluation"):
        folder.begin(overwrite=False)
    folder.begin(overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    folder.begin(overwrite=False)


def test_another_evaluation_is_refused_and_its_difference_named(tmp_path: Path) -> None:
    AnswerFolder(tmp_path, IDENTITY).begin(overwrite=False)
    other = AnswerFolder(tmp_path, {**IDENTITY, "generation": {"seed": 1}})
    assert not other.is_free_or_own()
    with pytest.raises(InputError, match=r"generation\.seed: 0, now 1"):
        other.begin(overwrite=False)


def test_overwriting_takes_the_answers_away(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, IDENTITY)
    folder.begin(overwrite=False)
    with folder.journal(0) as journal:
        journal.add(RECORD)
    assert folder.answers() == {"1": RECORD}
    folder.begin(overwrite=True)
    assert folder.answers() == {}


def test_of_two_answers_the_first_is_kept(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, IDENTITY)
    folder.begin(overwrite=False)
    for rank, text in ((0, "first"), (1, "second")):
        with folder.journal(rank) as journal:
            journal.add({"id": "1", "answer": text})
    assert folder.answers()["1"]["answer"] == "first"


def test_two_runs_do_not_write_one_folder(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, IDENTITY)
    folder.begin(overwrite=False)
    with folder.journal(0), pytest.raises(InputError, match="another run is writing"):
        folder.journal(0)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("")
    with pytest.raises(InputError, match="is a file: give --output the name of a folder"):
        AnswerFolder(file, IDENTITY).begin(overwrite=False)


def test_a_line_that_is_no_answer_is_refused(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, IDENTITY)
    folder.begin(overwrite=False)
    (tmp_path / "predictions.jsonl").write_text('{"id": "1"}\n[]\n')
    with pytest.raises(InputError, match=r"line 2 of .* is no answer of PaliKit"):
        folder.answers()


@pytest.mark.parametrize("name", ["predictions.jsonl", "report.json", "answers.partial.0.jsonl"])
def test_files_of_others_that_are_called_like_ours_are_not_overwritten(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(InputError, match=f"{name} is of no evaluation that can be told"):
        AnswerFolder(tmp_path, IDENTITY).begin(overwrite=True)
    assert (tmp_path / name).read_text() == "{}\n"


def test_a_second_run_cuts_nothing_off_what_the_first_one_is_writing(tmp_path: Path) -> None:
    folder = AnswerFolder(tmp_path, IDENTITY)
    folder.begin(overwrite=False)
    with folder.journal(0):
        (tmp_path / "answers.partial.0.jsonl").write_text('{"id": "1", "an')
        with pytest.raises(InputError, match="another run is writing"):
            folder.journal(0)
        assert (tmp_path / "answers.partial.0.jsonl").read_text() == '{"id": "1", "an'
