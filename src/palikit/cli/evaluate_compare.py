"""`palikit evaluate --compare`: several evaluations of the same questions side by side."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from palikit.cli.command import remark
from palikit.cli.evaluate_run import Measured, Runner
from palikit.cli.evaluate_tables import show_comparison
from palikit.errors import InputError
from palikit.options import DType, LoadOptions, QuantizedForm

if TYPE_CHECKING:
    from palikit.evaluation.compare import Difference
    from palikit.evaluation.exam import Exam

FORMS = (*(name for name in get_args(DType) if name != "auto"), *get_args(QuantizedForm))
"""What one checkpoint can be held in."""


def forms_of(text: str) -> list[str]:
    """The forms of --compare-forms, the first of which the others are compared with.

    Raises:
        InputError: fewer than two, one twice, or one that is none.
    """
    forms = [each.strip() for each in text.split(",")]
    if unknown := [each for each in forms if each not in FORMS]:
        raise InputError(
            f"--compare-forms {text}: {unknown[0]!r} is no form of weights; choose from "
            f"{', '.join(FORMS)}"
        )
    if len(forms) < 2 or len(set(forms)) < len(forms):
        raise InputError(f"--compare-forms {text}: give two or more, each once")
    return forms


def in_form(loading: LoadOptions, form: str) -> LoadOptions:
    """How a checkpoint is loaded in a form."""
    for name in get_args(QuantizedForm):
        if form == name:
            return replace(loading, quantize=name)
    for dtype in get_args(DType):
        if form == dtype:
            return replace(loading, dtype=dtype, quantize=None)
    raise AssertionError(f"{form} was not checked")


def compare_forms(
    runner: Runner, model: str, loading: LoadOptions, forms: Sequence[str], output_format: str
) -> None:
    """Evaluate one checkpoint in each form, and show the differences to the first.

    Raises:
        InputError: the checkpoint is held in fewer bits already.
    """
    from palikit.adapters import find_source
    from palikit.checkpoints.stored_form import stored_form

    if stored := stored_form(find_source(model, loading.revision, loading.adapter).path):
        raise InputError(
            f"{model} is held in {stored} and has no other form: give the float checkpoint that it "
            "was made from"
        )
    folder = _folder(runner, f"comparison-{_label(model)}")
    _check_place(runner, folder, forms)
    found = [runner.model(model, in_form(loading, form), folder / form) for form in forms]
    _show(runner, found, forms, folder, output_format)


def compare_models(
    runner: Runner, names: Sequence[str], loading: LoadOptions, output_format: str
) -> None:
    """Evaluate two checkpoints, and show the difference."""
    from palikit.cli.data_model import open_data_model

    for name in names:  # before the first is asked for hours
        open_data_model(name, loading)
    labels = [_label(name) for name in names]
    if len(set(labels)) < len(labels):
        labels = [f"{number}-{label}" for number, label in enumerate(labels, start=1)]
    folder = _folder(runner, f"comparison-{'-'.join(labels)}")
    _check_place(runner, folder, labels)
    found = [
        runner.model(name, loading, folder / label)
        for name, label in zip(names, labels, strict=True)
    ]
    _show(runner, found, labels, folder, output_format)


def compare_folders(
    folders: Sequence[Path],
    exam: "Exam | None",
    output: str | None,
    output_format: str,
    *,
    overwrite: bool,
) -> None:
    """Show the difference of two finished evaluations; nothing is asked."""
    from palikit.evaluation.compare import compare, compared, read_finished

    finished = [read_finished(folder) for folder in folders]
    names = [each.name for each in finished]
    if len(set(names)) < len(names):
        finished = [replace(each, name=str(each.folder)) for each in finished]
    rows = compare(finished, exam)
    record = compared(rows, finished)
    if exam is None and rows[1].between[0] != rows[1].between[0]:
        remark(
            "this figure is no mean over the answers: give --data (and --benchmark or --task) as "
            "when they were evaluated, and the interval of the difference is computed"
        )
    if output is not None:
        _write(Path(output), record, overwrite=overwrite)
    _print(rows, record, output_format)


def check_folders(names: Sequence[str] | None, data: str | None) -> None:
    """Without data two names are folders of evaluations.

    Raises:
        InputError: one is not.
    """
    open_ones = [name for name in names or () if not is_finished(name)]
    if open_ones and data is None:
        raise InputError(
            f"{open_ones[0]} holds no finished evaluation: give the folders of two, or --data to "
            "evaluate two models on"
        )


def is_finished(name: str) -> bool:
    """Whether a name is the folder of an evaluation, and not of a model."""
    from palikit.evaluation.answer_folder import REPORT

    return (Path(name) / REPORT).is_file()


def _folder(runner: Runner, name: str) -> Path:
    asked = runner.asked
    stem = f"{name}-{asked.benchmark or asked.task or 'own'}"
    return Path(runner.settings.output or stem)


def _label(model: str) -> str:
    return Path(model.rstrip("/")).name


def _check_place(runner: Runner, folder: Path, names: Sequence[str]) -> None:
    """Before hours of questions: what is compared there already is compared again, and no more."""
    from palikit.evaluation.answer_folder import COMPARISON

    file = folder / COMPARISON
    if runner.settings.overwrite or not file.exists():
        return
    try:
        known = [row["name"] for row in json.loads(file.read_bytes())["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known != list(names):
        raise InputError(
            f"{file} holds another comparison: give --output another name, or --overwrite it"
        )


def _show(
    runner: Runner,
    found: Sequence[Measured],
    names: Sequence[str],
    folder: Path,
    output_format: str,
) -> None:
    from palikit.evaluation.compare import compare, compared, read_finished

    if not runner.together.is_first:
        return
    finished = [read_finished(each.folder, name) for each, name in zip(found, names, strict=True)]
    rows = compare(finished, found[0].exam)
    record = compared(rows, finished)
    _write(folder, record, overwrite=True)
    _print(rows, record, output_format)
    if not runner.settings.quiet:
        remark(f"in {folder}: comparison.json, and the report of each in a folder of its own")


def _print(rows: "Sequence[Difference]", record: dict[str, object], output_format: str) -> None:
    if output_format == "json":
        click.echo(json.dumps(record, indent=2, ensure_ascii=False))
        return
    title = f"{record['name']}, {record['split']}, {record['examples']} questions"
    show_comparison(rows, str(record["figure"]), str(record["unit"]), title)


def _write(folder: Path, record: dict[str, object], *, overwrite: bool) -> None:
    from palikit.data.writing import saved_file
    from palikit.evaluation.answer_folder import COMPARISON

    file = folder / COMPARISON
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists: give --output another name, or --overwrite it")
    with saved_file(file) as temporary:
        text = json.dumps(record, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
