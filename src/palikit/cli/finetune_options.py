"""The options of `palikit finetune`: what a recipe says, and before it what was typed."""

from dataclasses import dataclass, replace

import click

from palikit.cli.options import is_typed, read_options
from palikit.data.options import RenderOptions
from palikit.options import LoadOptions
from palikit.train_options import LoraOptions, LossOptions, TrainOptions


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


def finetune_options(ctx: click.Context, recipe: str | None) -> FinetuneOptions:
    """The options of the command line; where one was not given, the recipe's.

    Raises:
        InputError: no such recipe, or an option that cannot be used.
    """
    loading = read_options(ctx, LoadOptions)
    if recipe is None:
        train, loss, lora = TrainOptions(), LossOptions(), LoraOptions()
    else:
        from palikit.recipes import recipe_options

        found = recipe_options(recipe, loading.image_size)
        train, loss, lora = found.train, found.loss, found.lora
    if is_typed(ctx, "epochs"):
        train = replace(train, steps=None)  # a recipe may count in steps
    train = read_options(ctx, TrainOptions, train)
    return FinetuneOptions(
        train,
        read_options(ctx, LossOptions, loss),
        read_options(ctx, LoraOptions, lora),
        replace(read_options(ctx, RenderOptions), seed=train.seed),
        loading,
    )
