"""Recipes of the release posts, of the Colab and of Vertex AI, and the authors' recipe to copy.

The posts train with transformers' Trainer: a linear schedule, clipping at 1, one mean over all
tokens of a batch, soft caps on, and decay on every matrix, which it multiplies by the learning
rate. Their warm-up is 2 steps, given here as a share of the steps that their data makes.
"""

from palikit.recipes.row import Recipe, Setting
from palikit.train_options import LoraOptions, LossOptions, Method, OptimizerName, TrainOptions

_TRAINER_LOSS = LossOptions(mean="token", softcap=True, padding_rows=True)

_TRAINER_DECAY = 1e-6 * 2e-5
"""The Trainer's weight decay of 1e-6, times its learning rate."""

_LORA = LoraOptions(lora_image_tower="q,k,v")
"""r = 8 on q, k, v, o, gate, up and down; the first three exist in the image tower too."""


def _trainer(method: Method, optimizer: OptimizerName = "adamw") -> TrainOptions:
    return TrainOptions(
        method=method,
        optimizer=optimizer,
        schedule="linear",
        warmup=0.0002,
        accumulation=4,
        max_text_tokens=128,
        weight_decay_on=".*",
    )


def _post(name: str, what: str, train: TrainOptions, note: str) -> Recipe:
    return Recipe(
        name,
        what,
        "vqa",
        "VQAv2 train, nine tenths of it; the other tenth",
        "answer {question}",
        "the most frequent answer",
        128,
        "none published",
        (Setting(224, 2, 64, 2e-5, _TRAINER_DECAY),),
        "huggingface.co/blog/paligemma, Fine-tuning, Using transformers",
        train=train,
        loss=_TRAINER_LOSS,
        lora=_LORA,
        note=note,
    )


_FULL_NOTE = (
    "The post says that image tower and projection are frozen; its code freezes the tower alone, "
    "as here. It took the loss over the prompt too, which is not done here."
)
_LORA_NOTE = (
    "11,298,816 weights learn. The post took the loss over the prompt too, which is not done here."
)

POSTS: tuple[Recipe, ...] = (
    _post(
        "post-vqav2",
        "questions about photos, image tower frozen",
        _trainer("frozen_tower"),
        _FULL_NOTE,
    ),
    _post("post-lora", "questions about photos, LoRA", _trainer("lora"), _LORA_NOTE),
    _post(
        "post-qlora",
        "questions about photos, QLoRA",
        _trainer("qlora", "adamw8bit"),
        f"{_LORA_NOTE} The base is nf4; the optimiser is the paged AdamW of 8 bits.",
    ),
    Recipe(
        "post2-lora",
        "questions about photos, LoRA on PaliGemma 2",
        "vqa",
        "half of vqav2-small's validation split; none",
        "answer en {question}",
        "the most frequent answer",
        128,
        "none published",
        (Setting(448, 3, 16, 2e-5, _TRAINER_DECAY),),
        "huggingface.co/blog/paligemma2 and its script, merveenoyan/smol-vision paligemma.py",
        model="paligemma2-3b",
        train=_trainer("lora"),
        loss=_TRAINER_LOSS,
        lora=_LORA,
        note="Half an hour on three A100 of 80 GB, as the post says.",
    ),
)

SMALL_MACHINES: tuple[Recipe, ...] = (
    Recipe(
        "colab",
        "long captions on a GPU of 16 GB",
        "caption",
        "longcap100, 90 pictures; 10",
        "caption en",
        "caption, lower case",
        128,
        "loss after 64 steps",
        (Setting(224, None, 8, 0.03, steps=64, result="0.0907"),),
        "big_vision finetune_paligemma.ipynb",
        model="paligemma2-3b",
        train=TrainOptions(
            method="attention", optimizer="sgd", warmup=0.1, clip_norm=0.0, max_text_tokens=128
        ),
        note="512 examples; the projections of the decoder's attention alone learn, by plain SGD.",
    ),
    Recipe(
        "vertexai-l4",
        "captions on a GPU of 24 GB",
        "caption",
        "longcap100, 90 pictures; none",
        "caption en",
        "{suffix}",
        128,
        "none published",
        (Setting(224, 1, 4, 0.1),),
        "big_vision transfers/vertexai_l4.py",
        train=TrainOptions(optimizer="sgd", max_text_tokens=128),
        note="Plain SGD needs no memory beside weights and gradients.",
    ),
    Recipe(
        "forkme",
        "the authors' recipe to copy",
        "caption",
        "longcap100, 90 pictures; 10",
        "caption en",
        "{suffix}",
        128,
        "none published",
        (Setting(224, 15, 32, 1e-5, 3e-7),),
        "big_vision transfers/forkme.py",
        train=TrainOptions(max_text_tokens=128),
        note="See also `own`, `own-detect` and `own-segment`.",
    ),
)
