"""Names of modules in adapter files: transformers has had three trees, PEFT's files have all three.

PEFT names a weight by the module's path in the model it trained, and transformers moved PaliGemma's
modules twice:

    era    decoder                         image tower
    4.41   language_model.model.layers     vision_tower.vision_model.encoder.layers
    4.52   model.language_model.layers     model.vision_tower.vision_model.encoder.layers
    5      model.language_model.layers     model.vision_tower.encoder.layers

An era is called by the version of transformers that began it.
"""

from typing import Literal

from palikit.checkpoints.names import from_hub, to_hub

Era = Literal["5", "4.52", "4.41"]

PEFT_PREFIX = "base_model.model."
"""What PEFT writes before the path of each module."""

_WEIGHT = ".weight"


def path_in(module: str, era: Era) -> str:
    """Where one of the model's own modules stands in transformers of an era."""
    released = to_hub(module + _WEIGHT).removesuffix(_WEIGHT)
    if era == "4.41":
        return released
    path = "model." + released.replace("language_model.model.", "language_model.", 1)
    return path if era == "4.52" else path.replace("vision_tower.vision_model.", "vision_tower.", 1)


def module_at(path: str) -> str | None:
    """The model's own name of a module of an adapter file, of any era; None if there is none."""
    name = from_hub(path.removeprefix(PEFT_PREFIX) + _WEIGHT)
    return None if name is None else name.removesuffix(_WEIGHT)
