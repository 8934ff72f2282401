"""One model, or one file of answers, evaluated: folder, what is still to be asked, report."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from palikit.cli.asking import load_predictor
from palikit.cli.command import model_name, remark
from palikit.cli.evaluate_exam import Asked, exam_of
from palikit.cli.finetune_processes import Together
from palikit.cli.progress import progress_of
from palikit.cli.team import Team
from palikit.errors import InputError, counted
from palikit.options import LoadOptions

if TYPE_CHECKING:
    from palikit.evaluation.answer_folder import AnswerFolder
    from palikit.evaluation.exam import Exam
    from palikit.evaluation.report import Report
    from palikit.predictor import Predictor
    from palikit.training.processes import Processes

_MAX_NAMES = 1000
"""Folders of a name that are tried."""


@dataclass(frozen=True)
class Settings:
    """How the command runs, whatever it measures.

    Attributes:
        output: folder; None for one that is named here.
        overwrite: begin anew in a folder that holds something else.
        batch_size: questions that go through a model together; None leaves it to the model.
        quiet: neither progress nor remarks.
    """

    output: str | None
    overwrite: bool
    batch_size: int | None
    quiet: bool


@dataclass(frozen=True)
class Measured:
    """One evaluation that is done.

    Attributes:
        folder: of its files.
        exam: what was asked.
        report: None in all processes but the first.
    """

    folder: Path
    exam: "Exam"
    report: "Report | None"


@dataclass(frozen=True)
class Runner:
    """What several evaluations of one command share.

    Attributes:
        ctx: of the command.
        asked: what is measured.
        settings: how the command runs.
        together, processes: this one, and those that share the questions or the model.
        exam: a benchmark, which is the same for every model; None for own data.
        team: where the model is shared; None where each process has a whole one.
    """

    ctx: click.Context
    asked: Asked
    settings: Settings
    together: Together
    processes: "Processes"
    exam: "Exam | None" = None
    team: Team | None = None

    def model(self, name: str, loading: LoadOptions, folder: Path | None) -> Measured:
        """Ask a model what its folder has no answer to, and report.

        Args:
            name: of the model.
            loading: how it is loaded.
            folder: where its files go; None for one that is named here.

        Raises:
            PaliKitError: anything that is wrong with the data, the model or the folder.
        """
        from palikit.cli.data_model import open_data_model
        from palikit.evaluation.answering import Share
        from palikit.evaluation.exam import identity_of
        from palikit.evaluation.fingerprint import checkpoint_fingerprint
        from palikit.evaluation.own import no_codec
        from palikit.evaluation.report import Subject, make_report
        from palikit.evaluation.running import default_batch_size

        known = open_data_model(name, loading)
        exam = self.exam or exam_of(self.ctx, self.asked, known, loading)
        if exam.has_outlines and known.mask_codec_file is None:
            raise no_codec()
        weights = checkpoint_fingerprint(name, loading.revision, loading.adapter)
        identity = identity_of(exam, name, weights, loading)
        kept = folder_of(exam, identity, self.settings, folder, name)
        with self.processes.together():
            if self.together.is_first:
                kept.begin(overwrite=self.settings.overwrite)
        batch_size = self.settings.batch_size or default_batch_size(known.tokens_per_image, exam)
        share = Share(self.processes.rank, self.processes.count) if self.team is None else Share()
        with self.processes.together():
            self._answer(exam, kept, name, loading, batch_size, share, known.image_size)
        subject = Subject(name, known.size, known.image_size, batch_size)
        report = None
        with self.processes.together():
            if self.together.is_first:
                report = make_report(exam, kept.answers(), subject, kept)
        return Measured(kept.path, exam, report)

    def _answer(
        self,
        exam: "Exam",
        kept: "AnswerFolder",
        name: str,
        loading: LoadOptions,
        batch_size: int,
        share: Any,
        side: int,
    ) -> None:
        from palikit.evaluation.running import answer_missing, number_done

        total, done = number_done(exam, kept, batch_size, share)
        if done and not self.settings.quiet:
            state = "all are answered" if done == total else "going on"
            remark(f"{done} of {total} answered in {kept.path}: {state}")
        if done == total:
            return
        if not self.settings.quiet:
            part = f" (process 1 of {share.count})" if share.count > 1 else ""
            remark(f"asking {name} {counted(total - done, 'question')}{part}, into {kept.path}")
        predictor = self._loaded(name, loading)
        if self.team is not None and not self.team.is_first:
            self._work_along(exam, kept, predictor, batch_size, side)
            return
        with progress_of(
            total, done, is_quiet=self.settings.quiet, writes_to_stdout=False
        ) as progress:
            try:
                answer_missing(
                    exam,
                    predictor,
                    kept,
                    batch_size=batch_size,
                    side=side,
                    share=share,
                    on_answer=progress.advance,
                )
            except KeyboardInterrupt:
                answered = number_done(exam, kept, batch_size, share)[1]
                progress.remark(
                    f"{answered} of {total} answered in {kept.path}: to go on, run the same command"
                    + (" without --overwrite" if self.settings.overwrite else " again")
                )
                raise

    def _loaded(self, name: str, loading: LoadOptions) -> "Predictor":
        if self.team is not None:
            return self.team.load(name, loading)
        own = LoadOptions(**{**vars(loading), "device": self.together.own_device(loading.device)})
        return load_predictor(name, own)

    def _work_along(
        self,
        exam: "Exam",
        kept: "AnswerFolder",
        predictor: "Predictor",
        batch_size: int,
        side: int,
    ) -> None:
        """Ask what the first process of a team does, whose folder has no new answer before."""
        from palikit.evaluation.answering import Share, ask, batches_of, missing

        todo = missing(batches_of(exam.items, batch_size), Share(), kept.answers())
        for _ in ask(predictor, todo, exam.generation, batch_size=batch_size, side=side):
            pass


def score_answers(
    ctx: click.Context,
    asked: Asked,
    settings: Settings,
    file: Path,
    loading: LoadOptions,
    model: str | None,
) -> "Report":
    """Score a file of answers that are there already.

    Args:
        ctx: of the command.
        asked: what is measured.
        settings: of the command.
        file: with the answers.
        loading: how texts of boxes are read.
        model: whose mask codec turns codes into outlines, if one is named.

    Raises:
        PaliKitError: anything that is wrong with the data, the file or the folder.
    """
    from palikit.cli.data_model import open_data_model
    from palikit.evaluation.exam import identity_of
    from palikit.evaluation.finished_answers import Reading, lacks_mask, read_answers
    from palikit.evaluation.own import no_codec
    from palikit.evaluation.report import Subject, make_report

    known = None if asked.benchmark else open_data_model(model or None, loading)
    exam = exam_of(ctx, asked, known, loading)
    # Only for codes that are to become outlines: a model's name may stand for gigabytes elsewhere.
    if exam.has_outlines and known is None:
        known = open_data_model(model or None, loading)
    decode = None
    if known is not None and exam.has_outlines:
        decode = known.decoder(loading.mask_edges)
    records = read_answers(file, exam, Reading(loading.coordinates, decode))
    if decode is None and any(map(lacks_mask, records.values())):
        raise no_codec()
    identity = identity_of(exam, str(file), digest_of(file), loading)
    kept = folder_of(exam, identity, settings, None, file.stem)
    if kept.writes(file):
        raise InputError(f"{file} would be written over in {kept.path}: give --output another name")
    kept.begin(overwrite=settings.overwrite)
    return make_report(exam, records, Subject(str(file)), kept)


def digest_of(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_of(
    exam: "Exam",
    identity: Mapping[str, Any],
    settings: Settings,
    given: Path | None,
    name: str,
) -> "AnswerFolder":
    """The folder that was given, else the first of a name that is free or holds just this."""
    from palikit.evaluation.answer_folder import AnswerFolder

    if given is None and settings.output is not None:
        given = Path(settings.output)
    if given is not None:
        return AnswerFolder(given, identity)
    stem = f"evaluation-{exam.name}-{exam.split}-{Path(name.partition('@')[0]).name}"
    for number in range(1, _MAX_NAMES):
        folder = AnswerFolder(Path(stem if number == 1 else f"{stem}-{number}"), identity)
        if settings.overwrite or folder.is_free_or_own():
            return folder
    raise InputError(f"there are {_MAX_NAMES} folders {stem} already: give one with --output")


def checked_model(model: str | None, *, quiet: bool) -> str:
    """The name of the model; the built-in one where none is given, which is said.

    Raises:
        InputError: the name is empty.
    """
    name = model_name(model)
    if model is None and not quiet:
        remark(
            "measuring nano, built in, which knows drawn scenes only; name another with --model, "
            "such as google/paligemma2-3b-mix-448"
        )
    return name
