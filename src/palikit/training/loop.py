"""Fine-tuning from a loaded model to a finished one: what is checked and made ready for `Run`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from palikit.data.rows import Row, Rows
from palikit.errors import InputError
from palikit.model.paligemma import PaliGemma
from palikit.processor import Processor
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.training.batches import Batches
from palikit.training.disk import check_room, disk_need
from palikit.training.examples import Examples, Mixture, as_examples, check_augment
from palikit.training.features import with_kept_features
from palikit.training.optimizers import decays
from palikit.training.own_tokenizer import write_tokenizer
from palikit.training.processes import OneProcess, Processes
from palikit.training.result import Evaluate, Origin, RunResult, StepFigures
from palikit.training.run import Run
from palikit.training.run_folder import RunFolder, step_of
from palikit.training.run_record import check_same_run, resumed_record, run_record
from palikit.training.setup import Learner, make_learner, number_of_steps

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
    loss, origin = loss or LossOptions(), origin or Origin()
    on_step, on_remark = on_step or _unheard, on_remark or _unheard
    output, train = Path(output), as_examples(train, options.augment)
    _check_options(options, lora, evaluate)
    steps = number_of_steps(len(train), options)
    processes.check(options)
    origin.check(options)
    check_augment(train, options.augment)
    with processes.opened_run(output, resume=resume, overwrite=overwrite) as folder:
        record = run_record(
            options,
            loss,
            lora,
            model=model,
            name=origin.name,
            pictures=f"{processor.image_size} px, {processor.resize}",
            data=train.fingerprint,
            examples=len(train),
            steps=steps,
            device=processes.device(model),
            processes=processes.count,
        )
        if resume:
            check_same_run(folder.read("run"), record, _steps_done(folder))
        learner = make_learner(model, options, loss, lora, processes)
        is_cuda = model.device.type == "cuda"
        source = Batches(
            train, processor, options, loss, processes.rank, processes.count, pin=is_cuda
        )
        with processes.together():
            if processes.rank == 0:  # an earlier run goes only now, when this one is known to begin
                is_replaced = evaluate is not None or resume
                _check_disk(learner, options, steps, output, on_remark, is_replaced=is_replaced)
                _put_record(folder, record, on_remark, resume=resume)
                origin = _with_tokenizer(origin, processor, output)
        if options.weight_decay and not decays(learner.optimizer):
            on_remark(_NO_DECAY)
        if options.cache_features:
            kept = Path(options.features) if options.features else folder.path / "features"
            given = with_kept_features(train, processor, model, kept, learner.dtype, on_remark)
            source = replace(source, source=given[0], processor=given[1])
        run = Run(learner, source, steps, folder, origin, processes, evaluate, on_step, on_remark)
        return run.go()


def _check_disk(
    learner: Learner,
    options: TrainOptions,
    steps: int,
    output: Path,
    on_remark: Callable[[str], None],
    *,
    is_replaced: bool,
) -> None:
    need = disk_need(
        learner.model,
        learner.weights,
        options,
        stored=learner.stored_dtype,
        steps=steps,
        is_replaced=is_replaced,
    )
    check_room(need, output, on_remark)


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
    for name in ("patience", "metric"):
        if evaluate is None and getattr(options, name):
            raise InputError(
                f"{name} is {getattr(options, name)!r} and there is no validation: give evaluate, "
                f"or leave {name} out"
            )


def _unheard(_: object) -> None:
    """For what nobody listens to."""
