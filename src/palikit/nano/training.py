"""Train nano: the decoder on a pretrained image tower, then both together.

    python -m palikit.nano.training --tower TOWER --codec CODEC --output RUN --frozen --steps 750
    python -m palikit.nano.training --start RUN/best --codec CODEC --output RUN2 --steps 3000

This is `palikit.training.finetune` on scenes that are drawn as they are needed. The same command
with --resume goes on after an interruption.
"""

import argparse
from pathlib import Path

import torch

from palikit.checkpoints import load_checkpoint
from palikit.model.mask_codec import load_mask_codec
from palikit.model.mask_coding import mask_encoder
from palikit.model.paligemma import PaliGemma
from palikit.nano.architecture import (
    nano_config,
    small_attention,
    start_copying_boxes,
    start_weights,
)
from palikit.nano.examples import SceneExamples
from palikit.nano.pretraining import tower_weights, wave_reading
from palikit.nano.progress import say
from palikit.nano.vocabulary import nano_tokenizer_json
from palikit.processor import Processor
from palikit.published import BUILT_IN_TEXT_LENGTH
from palikit.tokenizer import Tokenizer
from palikit.train_options import LossOptions, TrainOptions
from palikit.training import finetune
from palikit.training.result import Origin, StepFigures

REPORT_EVERY = 50

LOCATION_SMOOTHING = 6.4
"""One pixel of 160, in location tokens; less in a last stage makes edges and scores sharper."""


def build(tower: Path | None, start: Path | None, tokenizer: Tokenizer) -> PaliGemma:
    """A new model, its tower or all of it taken from earlier stages."""
    model = PaliGemma(nano_config(tokenizer.vocabulary), small_attention)
    start_weights(model, tokenizer.vocabulary)
    if tower is not None:
        model.vision_tower.load_state_dict(tower_weights(tower))
        start_copying_boxes(model, *wave_reading(tower))
    if start is not None:
        loaded = load_checkpoint(start, dtype=torch.float32, device=torch.device("cpu"))
        model.load_state_dict(loaded.model.state_dict())
    return model


def main() -> None:
    """The commands of the module's docstring."""
    given = _parsed()
    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)
    file = given.output.parent / f"{given.output.name}.tokenizer.json"
    file.write_text(nano_tokenizer_json(), encoding="utf-8")
    tokenizer = Tokenizer.load(file)
    model = build(given.tower, given.start, tokenizer)
    if torch.cuda.is_available():
        model.cuda()
    side = model.config.vision_config.image_size
    encode = mask_encoder(load_mask_codec(given.codec))
    options = TrainOptions(
        method="frozen_tower" if given.frozen else "full",
        steps=given.steps,
        batch_size=given.batch_size,
        learning_rate=given.learning_rate,
        rate_multipliers=None if given.frozen else "vision_tower=0.3",
        weight_decay=0.01 * given.learning_rate,
        weight_decay_on="layers.*weight$",
        optimizer="muon",
        schedule="constant" if given.frozen else "linear",
        warmup=0.03,
        precision="bfloat16",
        checkpoint_every=250,
        num_workers=given.workers,
        worker_processes=given.workers > 0,
        max_text_tokens=BUILT_IN_TEXT_LENGTH,
        seed=given.seed,
    )
    finetune(
        model,
        Processor(tokenizer, side),
        SceneExamples(side, encode, given.lessons),
        options,
        given.output,
        loss=LossOptions(location_smoothing=given.location_smoothing),
        origin=Origin("nano", tokenizer_file=file, mask_codec_file=given.codec),
        on_step=_report,
        on_remark=say,
        resume=given.resume,
    )


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tower", type=Path)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lessons", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--location-smoothing", type=float, default=LOCATION_SMOOTHING)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def _report(figures: StepFigures) -> None:
    if figures.step % REPORT_EVERY == 0:
        say(str(figures))


if __name__ == "__main__":
    main()
