"""A run on its way through the steps: updates, validations, checkpoints.

What a step does depends on the seed and its number alone (see `palikit.training.sampling`), so a
run that goes on from a checkpoint does what the run that was stopped would have done.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from palikit.errors import CheckpointError, InputError
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.scores import Scores
from palikit.training.batches import Batch, Batches, to_device
from palikit.training.events import MISSING, EventFiles
from palikit.training.meter import Meter
from palikit.training.optimizers import set_rate
from palikit.training.precision import autocast
from palikit.training.processes import Processes
from palikit.training.result import Ending, Evaluate, Origin, RunResult, StepFigures
from palikit.training.run_folder import RunFolder
from palikit.training.schedules import schedule_factor
from palikit.training.setup import Learner
from palikit.training.state import RunState, learning_bytes, load_state, save_state
from palikit.training.stopping import Stopped, StopSignal, after_validation, deciding_figure

_GIVEN_UP = Scores((("given up", 0.0),), "given up")
"""Of a validation that the user stopped: a value that all processes can be told."""


class Run:
    """One run: a learner on its way through the steps.

    Args:
        learner: ready to learn; gets the weights of the latest checkpoint.
        batches: of the whole run.
        steps: of the whole run.
        folder: of the run.
        origin: what the finished model needs.
        processes: that train together.
        evaluate: measures the model now and then, if anything does.
        on_step: told the figures of every step.
        on_remark: told what happens beside steps.
    """

    def __init__(
        self,
        learner: Learner,
        batches: Batches,
        steps: int,
        folder: RunFolder,
        origin: Origin,
        processes: Processes,
        evaluate: Evaluate | None,
        on_step: Callable[[StepFigures], None],
        on_remark: Callable[[str], None],
    ) -> None:
        self.learner, self.batches, self.steps = learner, batches, steps
        self.folder, self.origin, self.processes = folder, origin, processes
        self.options = batches.options
        examples = len(batches.source)
        an_epoch = math.ceil(examples / self.options.batch_size)
        self.evaluate_every = self.options.evaluate_every or an_epoch
        self.evaluate, self.on_step, self.on_remark = evaluate, on_step, on_remark
        self.saved: RunState | None = None
        self.state = self._restored()
        self.meter = Meter(steps)
        self.last_loss: float | None = None

    def go(self) -> RunResult:
        """All steps that are left."""
        tensorboard = self.folder.tensorboard if self.processes.rank == 0 else None
        with StopSignal() as stop, EventFiles(tensorboard, self.state.step) as events:
            self.events, self.stop = events, stop
            if not events.is_there:
                self.on_remark(MISSING)
            self._tell_beginning()
            ending = self._steps()
            self._checkpoint()
            if ending != "interrupted" and self.evaluate is None:
                self._export(None)
        return self._result(ending)

    def _tell_beginning(self) -> None:
        step, steps = self.state.step, self.steps
        if step == steps:
            self.on_remark(f"all {steps} steps of the run are done already")
        elif self.saved is not None:
            self.on_remark(f"going on from step {step} of {steps}")

    def _steps(self) -> Ending:
        if self._is_validation_due():  # the process ended between a checkpoint and it
            self._validate()
            self._checkpoint()  # or another process that ends would lead to it once more
            if self._is_to_stop():
                return "interrupted"
        if self._has_stalled():  # it was resumed after an early stop
            return "early"
        self.meter.restart()
        with closing(self.batches.between(self.state.step, self.steps)) as batches:
            while (batch := self._next(batches)) is not None:
                self._step(batch)
                self.state = replace(self.state, step=batch.step + 1)
                if self._is_validation_due():
                    self._validate()
                if self._has_stalled():
                    return "early"
                if self.state.step % self.options.checkpoint_every == 0:
                    self._checkpoint()
                if self._is_to_stop():
                    return "interrupted"
        return "finished"

    def _next(self, batches: Iterator[Batch]) -> Batch | None:
        """The next batch; where a process cannot make it, what was learnt is saved first."""
        batch, failure = None, None
        try:
            batch = next(batches, None)
        except Exception as error:
            failure = error
        if self.processes.largest(failure is not None):
            if self.state.step:
                self._checkpoint()
            with self.processes.together():
                if failure is not None:
                    raise failure
        return batch

    def _is_to_stop(self) -> bool:
        return bool(self.processes.largest(self.stop.is_set))

    def _step(self, batch: Batch) -> None:
        """Forward and backward over the parts of a batch, and one update."""
        learner, options = self.learner, self.options
        factor = schedule_factor(options.schedule, batch.step, self.steps, options.warmup)
        rate = options.learning_rate * factor
        set_rate(learner.optimizer, rate)
        seed_step(options.seed, batch.step, self.processes.rank)
        whole = self._of_all(batch)
        loss = torch.zeros((), device=learner.model.device)
        for number in range(self.processes.largest(len(batch.parts))):
            part = batch.parts[min(number, len(batch.parts) - 1)]
            share = self._share(to_device(part, learner.model.device), whole.count)
            if number >= len(batch.parts):  # another process has more, and needs company
                share = share * 0
            # Gradients are averaged over processes; each has its share of the sum.
            (share * self.processes.count).backward()  # type: ignore[no-untyped-call]
            loss += share.detach()
        norm = self.processes.clip(learner.weights, options.clip_norm)
        learner.optimizer.step()
        learner.optimizer.zero_grad(set_to_none=True)
        self._log(self.meter.take(whole, self.processes.total(loss), norm, rate))

    def _of_all(self, batch: Batch) -> Batch:
        """The batch with the figures of what all processes compute of it."""
        own = torch.tensor([batch.count, batch.pictures, batch.tokens])
        count, pictures, tokens = self.processes.total(own).tolist()
        return replace(batch, count=count, pictures=pictures, tokens=tokens)

    def _share(self, inputs: ModelInputs, count: float) -> Tensor:
        model = self.learner.model
        with autocast(model.device, self.learner.dtype):
            embeds = None
            if self.options.cache_features:  # in the place of pixels, see FeatureProcessor
                projector = model.multi_modal_projector
                embeds = projector(inputs.pixel_values.to(projector.weight.dtype))
            share: Tensor = self.learner.module(inputs, image_embeds=embeds, count=count)
        return share

    def _log(self, figures: StepFigures | None) -> None:
        if figures is None:
            return
        if not (math.isfinite(figures.loss) and math.isfinite(figures.gradient_norm)):
            last = self.folder.latest()
            raise InputError(
                f"the loss at step {figures.step} is {figures.loss:g} and the norm of its "
                f"gradient {figures.gradient_norm:g}: the run is stopped; the last good "
                f"checkpoint is {last or 'none, for none was due yet'}; begin another run with a "
                "lower learning_rate or a longer warmup"
            )
        self.last_loss = figures.loss
        self.folder.append({k: v for k, v in asdict(figures).items() if k != "steps"})
        self.events.step(figures)
        self.on_step(figures)

    def _read_meter(self) -> None:
        self._log(self.meter.read())

    def _is_validation_due(self) -> bool:
        step = self.state.step
        if self.evaluate is None or step in (0, self.state.validated):
            return False
        return step % self.evaluate_every == 0 or step == self.steps

    def _validate(self) -> None:
        self._read_meter()
        step = self.state.step
        try:
            scores = self.processes.measure(
                self.learner.model, self.learner.stored_dtype, self._look
            )
            if scores == _GIVEN_UP:
                self.on_remark(f"the validation after step {step} is left to the resumed run")
                return
            after = after_validation(self.state, scores, self.options)
            is_best = after.best_step == step
            shown = scores.summary(deciding_figure(scores, self.options)[0])
            self.on_remark(
                f"validation after step {step}: {shown}{', the best so far' if is_best else ''}"
            )
            if is_best:
                self._export(scores)
        except BaseException:
            self._checkpoint()  # what was learnt since the last one is good
            raise
        self.folder.append({"step": step, "validation": dict(scores.figures)})
        self.events.scores(step, scores)
        self.state = after
        self.meter.restart()

    def _look(self, model: PaliGemma) -> Scores:
        if self.evaluate is None:
            raise ValueError("there is no validation")
        try:
            with self.stop.at_once():
                return self.evaluate(model, self.folder.validation(self.state.step))
        except Stopped:
            return _GIVEN_UP

    def _has_stalled(self) -> bool:
        return 0 < self.options.patience <= self.state.without_better

    def _checkpoint(self) -> None:
        """Write where the run stands; of weights that are on the disk already, only that."""
        self._read_meter()
        learner, step = self.learner, self.state.step
        target, last_good = self.folder.checkpoint(step), self.folder.latest()
        if self.saved is not None and self.saved.step == step and target == last_good:
            if self.saved != self.state:
                self._save_state(target)
        else:
            needed = learning_bytes(learner.weights, learner.optimizer)
            with self.processes.whole_folder(
                target, needed_bytes=needed, last_good=last_good
            ) as new:
                self.processes.save(new, learner.weights, learner.optimizer)
                self._save_state(new)
            with self.processes.together():
                self.folder.point_to_latest(step)
            self.folder.prune(self.options.keep)
        self.saved = self.state
        self.meter.restart()

    def _save_state(self, folder: Path) -> None:
        if self.processes.rank == 0:
            save_state(folder, self.state)

    def _export(self, scores: Scores | None) -> None:
        learner, step = self.learner, self.state.step
        try:
            self.processes.export(
                learner.model, self.folder.best, self.options, self.origin, learner.stored_dtype
            )
        except CheckpointError as error:
            self._checkpoint()
            raise CheckpointError(
                f"{error}; what was learnt is in {self.folder.latest()}: run the same command with "
                "--resume"
            ) from None
        best: dict[str, object] = {"step": step, "model": "best"}
        if scores is not None:
            name, value, _ = deciding_figure(scores, self.options)
            best |= {"metric": name, "value": value, "figures": dict(scores.figures)}
        self.folder.point("best", best)

    def _restored(self) -> RunState:
        """Where an earlier process left the run, its weights put back."""
        latest = self.folder.latest()
        if latest is None:
            self.folder.forget_after(0)
            return RunState()
        self.processes.load(latest, self.learner.weights, self.learner.optimizer)
        self.saved = load_state(latest)
        self.folder.forget_after(self.saved.step)
        return self.saved

    def _result(self, ending: Ending) -> RunResult:
        best = self.folder.best if (self.folder.path / "best.json").is_file() else None
        found = self.folder.read("best") if best is not None else {}
        return RunResult(
            ending=ending,
            output=self.folder.path,
            step=self.state.step,
            best=best,
            best_step=int(found.get("step", 0)),
            score=(found["metric"], found["value"]) if "metric" in found else None,
            loss=self.last_loss,
        )


def seed_step(seed: int, step: int, rank: int) -> None:
    """The random numbers of one step on one process, such as those of dropout."""
    state = np.random.SeedSequence((seed, step, rank)).generate_state(2, np.uint32)
    torch.manual_seed(int(state[0]) << 31 | int(state[1]) >> 1)
