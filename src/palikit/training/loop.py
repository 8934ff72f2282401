"""Fine-tuning from a loaded model to a finished one: what is checked and made ready for `Run`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from palikit.data.rows import Row, Rows
from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.processor import Processor
from palikit.train_options import LoraOptions, LossOptions, TrainOptions, idle_options
from palikit.training.batches import Batches
from palikit.training.disk import check_room, disk_need
from palikit.training.examples import Examples, Mixture, as_examples, check_augment
from palikit.training.features import with_kept_features
from palikit.training.optimizers import decays
from palikit.training.output import FEATURES_NAME, refuse_removal
from palikit.training.own_tokenizer import write_tokenizer
from palikit.training.processes import OneProcess, Processes
from palikit.training.readable import check_readable, rows_with_files
from palikit.training.result import Evaluate, Origin, RunResult, StepFigures
from palikit.training.run import Run
from palikit.training.run_folder import RunFolder, step_of
from palikit.training.run_record import check_same_run, resumed_record, run_record
from palikit.training.setup import Learner, check_float, make_learner, number_of_steps

ALONE = OneProcess()

_NO_DECAY = (
    "weight_decay is set and no weight that learns decays: name some with weight_decay_on, which "
    "is of the image tower and the projector by default, or leave it out"
)


def finetune(
    model: PaliGemma,
    processor: Processor,
    train: Examples | Mixture | Rows | Sequence[Row],
    options: TrainOptions,
    output: str | Path,
    *,
    loss: LossOptions | None = None,
    lora: LoraOptions | None = None,
    origin: Origin | None = None,
    evaluate: Evaluate | None = None,
    on_step: Callable[[StepFigures], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    processes: Processes = ALONE,
) -> RunResult:
    """Train a model, and leave the finished one in `output / "best"`.

    SIGINT and SIGTERM end the run after the step that is being computed, with a checkpoint; what
    kills the process costs the steps since the last one. Random numbers of PyTorch are seeded
    anew for every step.

    Args:
        model: on its device, or of several processes on the host; changed in place, also where it
            is frozen (see `precision`).
        processor: for its tokenizer and picture size.
        train: the examples; rows are taken as `RowExamples`, augmented as the options say.
        options: what learns, how long and how.
        output: folder of the run; see `palikit.training.run_folder`.
        loss: how the loss is made; None for the defaults.
        lora: which layers get adapters, for the methods that have them.
        origin: what the finished model needs beside its weights; where it names no tokenizer file,
            that of the processor is written.
        evaluate: measures the model now and then; its scores decide which model is the best. None
            leaves the last one as the best.
        on_step: told the figures of every step.
        on_remark: told in a sentence what happens beside steps.
        resume: go on from the latest checkpoint in `output`.
        overwrite: remove the run in `output` first.
        processes: those that train together.

    Raises:
        InputError: options, examples or folder cannot be used, or the loss is no longer a number.
        CheckpointError: a checkpoint or the model could not be written or read, or the disk has
            not the room for them.
        MissingExtraError: a package for the method or the optimiser is not installed.
    """
    plan = _Plan(
        model,
        processor,
        as_examples(train, options.augment),
        options,
        loss or LossOptions(),
        lora,
        origin or Origin(),
        evaluate,
        on_step or _unheard,
        on_remark or _unheard,
        processes,
    )
    output = Path(output)
    _check(plan, output, overwrite=overwrite)
    with processes.opened_run(output, resume=resume, overwrite=overwrite) as folder:
        return _ready(plan, folder, resume=resume).go()


@dataclass(frozen=True, eq=False)
class _Plan:
    """What `finetune` was given, its defaults put in."""

    model: PaliGemma
    processor: Processor
    train: Examples | Mixture
    options: TrainOptions
    loss: LossOptions
    lora: LoraOptions | None
    origin: Origin
    evaluate: Evaluate | None
    on_step: Callable[[StepFigures], None]
    on_remark: Callable[[str], None]
    processes: Processes

    @property
    def steps(self) -> int:
        """Of the whole run."""
        return number_of_steps(len(self.train), self.options)


def _check(plan: _Plan, output: Path, *, overwrite: bool) -> None:
    """Refuse what is wrong by itself, before a folder is opened or the model is changed."""
    options, origin = plan.options, plan.origin
    _check_options(options, plan.lora, plan.evaluate)
    check_float(plan.model)
    number_of_steps(len(plan.train), options)
    plan.processes.check(options)
    origin.check(options)
    check_augment(plan.train, options.augment)
    if overwrite:
        refuse_removal(output, (origin.name, origin.tokenizer_file, origin.mask_codec_file))


def _ready(plan: _Plan, folder: RunFolder, *, resume: bool) -> Run:
    """The run before its first step; an earlier one goes only when this one is known to begin."""
    options, processes, origin = plan.options, plan.processes, plan.origin
    record = _record(plan)
    if resume:
        check_same_run(folder.read("run"), record, _steps_done(folder))
    learner = make_learner(plan.model, options, plan.loss, plan.lora, processes)
    source = Batches(
        plan.train,
        plan.processor,
        options,
        plan.loss,
        processes.rank,
        processes.count,
        pin=plan.model.device.type == "cuda",
    )
    with processes.together():
        if processes.rank == 0:
            _check_disk(plan, learner, folder, is_replaced=plan.evaluate is not None or resume)
            if options.cache_features:  # of one process alone; reads every picture, too
                source = _of_features(plan, source, learner, folder)
            else:
                check_readable(rows_with_files(plan.train), plan.on_remark)
            _put_record(folder, record, plan.on_remark, resume=resume)
            origin = _with_tokenizer(origin, plan.processor, folder.path)
    if options.weight_decay and not decays(learner.optimizer):
        plan.on_remark(_NO_DECAY)
    told = plan.evaluate, plan.on_step, plan.on_remark
    return Run(learner, source, plan.steps, folder, origin, processes, *told)


def _record(plan: _Plan) -> dict[str, Any]:
    processor, train, processes = plan.processor, plan.train, plan.processes
    return run_record(
        plan.options,
        plan.loss,
        plan.lora,
        model=plan.model,
        name=plan.origin.place,
        pictures=f"{processor.image_size} px, {processor.resize}",
        data=train.fingerprint,
        examples=len(train),
        steps=plan.steps,
        device=processes.device(plan.model),
        processes=processes.count,
    )


def _of_features(plan: _Plan, source: Batches, learner: Learner, folder: RunFolder) -> Batches:
    """The batches with what a frozen image tower says of the pictures, in their place."""
    options = plan.options
    kept = Path(options.features) if options.features else folder.path / FEATURES_NAME
    examples, processor = with_kept_features(
        plan.train, plan.processor, plan.model, kept, learner.dtype, plan.on_remark
    )
    return replace(source, source=examples, processor=processor)


def _check_disk(plan: _Plan, learner: Learner, folder: RunFolder, *, is_replaced: bool) -> None:
    need = disk_need(
        learner.model,
        learner.weights,
        plan.options,
        stored=learner.stored_dtype,
        steps=plan.steps,
        is_replaced=is_replaced,
    )
    check_room(need, folder.path, plan.on_remark)


def _with_tokenizer(origin: Origin, processor: Processor, output: Path) -> Origin:
    """The origin with a tokenizer file; that of the processor where it has none."""
    if origin.tokenizer_file is not None:
        return origin
    return replace(origin, tokenizer_file=write_tokenizer(processor.tokenizer, output))


def _put_record(
    folder: RunFolder, record: dict[str, Any], on_remark: Callable[[str], None], *, resume: bool
) -> None:
    """Write `run.json`, or add a resumption to it."""
    if not resume:
        folder.begin(record)
        return
    if (missing := folder.missing()) is not None:
        on_remark(f"{missing} is gone: the run goes on from {folder.latest()}")
    old = folder.read("run")
    if old["steps"] != record["steps"]:
        on_remark(f"the run had {old['steps']} steps and has {record['steps']} from now on")
    folder.point("run", resumed_record(old, record, _steps_done(folder)))


def _steps_done(folder: RunFolder) -> int:
    latest = folder.latest()
    return 0 if latest is None else step_of(latest)


def _check_options(
    options: TrainOptions, lora: LoraOptions | None, evaluate: Evaluate | None
) -> None:
    """Refuse options without effect, and those that contradict each other."""
    if options.method in ("lora", "qlora"):
        (lora or LoraOptions()).check(options)
    elif lora is not None:
        raise InputError(
            f"lora is given and method is {options.method}, which has no adapters: set method to "
            "lora, or leave lora out"
        )
    defaults = {each.name: each.default for each in fields(TrainOptions)}
    for name, why in idle_options(options):
        if getattr(options, name) != defaults[name]:
            raise InputError(why)
    for name in ("patience", "metric"):
        if evaluate is None and getattr(options, name):
            raise InputError(
                f"{name} is {getattr(options, name)!r} and there is no validation: give evaluate, "
                f"or leave {name} out"
            )


def _unheard(_: object) -> None:
    """For what nobody listens to."""
