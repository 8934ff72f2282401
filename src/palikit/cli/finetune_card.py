"""The card of a finished model, written beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from palikit.cli.finetune_data import TrainingRows, weighted
from palikit.cli.finetune_options import FinetuneOptions
from palikit.errors import PaliKitError
from palikit.model_card import ModelCard, stated_license
from palikit.published import BUILT_IN, BUILT_IN_FOLDER

if TYPE_CHECKING:
    from palikit.training import RunResult

_METHODS = {
    "full": "full fine-tuning",
    "frozen_tower": "fine-tuning with the image tower frozen",
    "attention": "fine-tuning of the decoder's attention projections",
    "lora": "LoRA",
    "qlora": "QLoRA, on a base of 4 bits",
}
_SHOWN = ("batch_size", "learning_rate", "schedule", "optimizer", "weight_decay", "dropout", "seed")
_SHOWN_OF_ADAPTERS = ("lora_rank", "lora_alpha", "lora_decoder", "lora_image_tower")


def write_run_card(
    result: "RunResult",
    options: FinetuneOptions,
    rows: TrainingRows,
    model: str,
    data: Sequence[str],
) -> None:
    """Write README.md beside the finished model; nothing where there is none.

    Args:
        result: of the run.
        options: of the run.
        rows: that it was trained and measured on.
        model: what the user called the base.
        data: what the user called the data.
    """
    if result.best is None:
        return
    from palikit.publishing import write_card
    from palikit.training.run_folder import RunFolder

    figures = RunFolder(result.output).read("best").get("figures", {})
    names = ", ".join(Path(name).name or name for name, _ in map(weighted, data))
    is_path = model != BUILT_IN and Path(model).exists()
    card = ModelCard(
        name=result.output.resolve().name,
        # Without a dot, models/pt would read as a name on the Hub.
        base_model=f"./{model}" if is_path and not Path(model).is_absolute() else model,
        data=f"{rows.number} examples of {names}.",
        method=_METHODS[options.train.method],
        is_adapter=options.adapters is not None,
        prompt=rows.example.prefix,
        options=(("steps", str(result.best_step)), *_values(options)),
        scores=tuple((name, float(value)) for name, value in figures.items()),
        scored_on=f"{len(rows.validation)} rows that were held back" if rows.validation else "",
        license_id=license_of(model, options.loading.revision),
    )
    write_card(result.best, card)


def license_of(model: str, revision: str | None = None) -> str:
    """The licence of a base, whatever it is called and whatever it was tuned from itself.

    By its shape for the built-in model, else as its own card states it, else Gemma's.
    """
    from palikit.adapters import find_source
    from palikit.checkpoints import inspect_checkpoint
    from palikit.publishing import CARD_NAME

    try:
        source = find_source(model, revision)
        decoders = [
            inspect_checkpoint(path).config.text_config for path in (source.path, BUILT_IN_FOLDER)
        ]
        if decoders[0] == decoders[1]:
            return "apache-2.0"
    except PaliKitError:  # a finished run is not lost for its card
        return "gemma"
    cards = [folder / CARD_NAME for folder in source.folders]
    stated = (stated_license(card) for card in cards if card.is_file())
    return next((each for each in stated if each), "gemma")


def _values(options: FinetuneOptions) -> list[tuple[str, str]]:
    pairs = [(name, str(getattr(options.train, name))) for name in _SHOWN]
    if options.adapters is not None:
        pairs += [(name, str(getattr(options.adapters, name))) for name in _SHOWN_OF_ADAPTERS]
    return [(name.replace("_", " "), value) for name, value in pairs]
