"""The options of `palikit finetune`: what a recipe says, and before it what was typed."""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import click

from palikit.cli.command import LABELS_SECTION, names_of
from palikit.cli.options import is_typed, read_options
from palikit.data.options import RenderOptions
from palikit.errors import InputError
from palikit.options import LoadOptions
from palikit.train_options import LoraOptions, LossOptions, TrainOptions, idle_options

if TYPE_CHECKING:
    from palikit.cli.data_model import DataModel

_LEARNING = (
    "method freeze_image_tower freeze_projector freeze_decoder freeze_embeddings train freeze"
)
_PACE = (
    "epochs steps batch_size learning_rate schedule warmup rate_multipliers clip_norm "
    "weight_decay weight_decay_on optimizer beta1 beta2 eps"
)
_EXAMPLES = "augment max_text_tokens dropout seed"
_MEASURING = "evaluate_every metric patience checkpoint_every keep"
_SPEED = (
    "precision accumulation gradient_checkpointing cache_features features num_workers "
    "worker_processes"
)

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("What learns", tuple(_LEARNING.split())),
    ("Adapters, for the methods lora and qlora", names_of(LoraOptions)),
    ("How long, how fast", tuple(_PACE.split())),
    ("Examples and chance", tuple(_EXAMPLES.split())),
    ("Measuring, stopping, keeping", tuple(_MEASURING.split())),
    ("Memory and speed", tuple(_SPEED.split())),
    ("The loss", names_of(LossOptions)),
    (LABELS_SECTION, names_of(RenderOptions)),
    ("Loading the model", names_of(LoadOptions)),
)
"""The options of `palikit finetune --help`."""


@dataclass(frozen=True)
class FinetuneOptions:
    """All options of one command.

    Attributes:
        train, loss, lora: of the training.
        render: how records become rows.
        loading: of the model.
    """

    train: TrainOptions
    loss: LossOptions
    lora: LoraOptions
    render: RenderOptions
    loading: LoadOptions

    @property
    def adapters(self) -> LoraOptions | None:
        """`lora` for a method that has adapters."""
        return self.lora if self.train.method in ("lora", "qlora") else None


def finetune_options(
    ctx: click.Context,
    recipe: str | None,
    model: "DataModel | None" = None,
    begun: FinetuneOptions | None = None,
) -> FinetuneOptions:
    """The options of the command line; where one was not given, the recipe's, or the run's.

    Args:
        ctx: of the command.
        recipe: its name.
        model: for its size and picture side, which the recipe's setting depends on; None before
            they are known, to refuse what cannot be used anyway.
        begun: what the run was begun with that goes on, where no recipe is named.

    Raises:
        InputError: no such recipe or setting, or an option that cannot be used.
    """
    base = begun or FinetuneOptions(
        TrainOptions(), LossOptions(), LoraOptions(), RenderOptions(), LoadOptions()
    )
    train, loss, lora = base.train, base.loss, base.lora
    if recipe is not None:
        from palikit.recipes import recipe_options

        size = None if model is None else model.size
        found = recipe_options(recipe, _resolution(recipe, model), size)
        train, loss, lora = found.train, found.loss, found.lora
    if is_typed(ctx, "epochs"):
        train = replace(train, steps=None)  # a recipe may count in steps
    if model is not None and recipe is None and begun is None:
        train = replace(train, max_text_tokens=model.text_tokens)
    if recipe is not None and is_typed(ctx, "batch_size") and not is_typed(ctx, "accumulation"):
        train = _with_batch_of_another_size(ctx, train)
    train = read_options(ctx, TrainOptions, train)
    if recipe is not None:
        train = _without_idle(ctx, train)
    _check_adapters(ctx, train)
    return FinetuneOptions(
        train,
        read_options(ctx, LossOptions, loss),
        read_options(ctx, LoraOptions, lora),
        replace(read_options(ctx, RenderOptions, base.render), seed=train.seed),
        read_options(ctx, LoadOptions, base.loading),
    )


def _without_idle(ctx: click.Context, train: TrainOptions) -> TrainOptions:
    """Leave out what a recipe says that means nothing beside what was typed."""
    defaults = {field.name: field.default for field in fields(TrainOptions)}
    idle = [name for name, _ in idle_options(train) if not is_typed(ctx, name)]
    left_out: dict[str, Any] = {name: defaults[name] for name in idle}
    return replace(train, **left_out)


def _with_batch_of_another_size(ctx: click.Context, train: TrainOptions) -> TrainOptions:
    """A recipe's batch in its number of parts, or in the next smaller one that divides it."""
    parts = train.accumulation
    train = read_options(ctx, TrainOptions, replace(train, accumulation=1))
    fitting = [count for count in range(1, parts + 1) if train.batch_size % count == 0]
    return replace(train, accumulation=fitting[-1])


def _check_adapters(ctx: click.Context, train: TrainOptions) -> None:
    for name in names_of(LoraOptions):
        if train.method not in ("lora", "qlora") and is_typed(ctx, name):
            raise InputError(
                f"{name} is given and method is {train.method}, which has no adapters: give "
                "--method lora, or leave it out"
            )


def _resolution(recipe: str, model: "DataModel | None") -> int | None:
    """The picture side whose setting is taken; None for the recipe's smallest.

    A recipe says nothing of models of other sizes than the released ones: such a model takes it as
    it is, at the smallest side where the recipe has not its own.
    """
    from palikit.recipes import recipe_named

    if model is None:
        return None
    is_known = model.image_size in recipe_named(recipe).resolutions
    return model.image_size if is_known or model.size is not None else None
