"""The tables of docs/fine-tuning.md: what learns in each method, and the memory a run needs.

    python benchmarks/training_memory.py

Nothing is computed or loaded: shapes alone are followed, as `palikit finetune --dry-run` does.
Counts are of PaliGemma 3B; memory of PaliGemma 2 3B, stored in bfloat16, with products in bfloat16,
128 text tokens and one example at a time: GiB without and with --gradient-checkpointing.
"""

from dataclasses import replace

import torch

from palikit.adapters import trainable_parameters
from palikit.published import config_for
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.training.memory import estimate_memory, meta_model

SIDES = (224, 448, 896)
TEXT_TOKENS = 128

RUNS: tuple[tuple[str, TrainOptions, LoraOptions], ...] = (
    ("`full`", TrainOptions(), LoraOptions()),
    ("`full`, `adamw8bit`", TrainOptions(optimizer="adamw8bit"), LoraOptions()),
    ("`full`, `sgd`", TrainOptions(optimizer="sgd"), LoraOptions()),
    ("`frozen_tower`", TrainOptions(method="frozen_tower"), LoraOptions()),
    ("`attention`", TrainOptions(method="attention"), LoraOptions()),
    ("`attention`, `sgd`", TrainOptions(method="attention", optimizer="sgd"), LoraOptions()),
    ("`lora`", TrainOptions(method="lora"), LoraOptions()),
    (
        "`lora`, image tower `q,k,v`",
        TrainOptions(method="lora"),
        LoraOptions(lora_image_tower="q,k,v"),
    ),
    (
        "`lora`, image tower whole",
        TrainOptions(method="lora"),
        LoraOptions(lora_image_tower="q,k,v,out,fc1,fc2"),
    ),
    ("`qlora`", TrainOptions(method="qlora"), LoraOptions()),
)


def print_memory() -> None:
    columns = [f"{side} px" for side in SIDES]
    print("| method |", " | ".join(columns), "|")
    print("|---|" + "---|" * len(SIDES))
    for name, options, lora in RUNS:
        cells = [memory_cell(options, lora, side) for side in SIDES]
        print(f"| {name} | {' | '.join(cells)} |")


def memory_cell(options: TrainOptions, lora: LoraOptions, side: int) -> str:
    both = (replace(options, batch_size=1, gradient_checkpointing=on) for on in (False, True))
    sizes = [
        estimate_memory(
            config_for("PaliGemma 2", "3B", side),
            each,
            LossOptions(),
            lora,
            text_tokens=TEXT_TOKENS,
            pictures=1,
            stored=torch.bfloat16,
            compute=torch.bfloat16,
        ).total
        for each in both
    ]
    return ", ".join(f"{size / 2**30:.1f}" for size in sizes)


def print_counts() -> None:
    print("| method | image tower | projector | embeddings | decoder | together |")
    print("|---|---|---|---|---|---|")
    for name, options, lora in RUNS:
        if options.optimizer == "adamw":
            print(count_row(name, options, lora))


def count_row(name: str, options: TrainOptions, lora: LoraOptions) -> str:
    counts = trainable_parameters(meta_model(config_for("PaliGemma", "3B", 224), options, lora))
    each = [f"{tower.trainable:,}" for tower in counts.towers]
    return f"| {name} | {' | '.join(each)} | {counts.trainable:,} |"


if __name__ == "__main__":
    print_counts()
    print()
    print_memory()
