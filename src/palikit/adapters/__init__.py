"""LoRA adapters: train them through PEFT, read and write PEFT's files, run them without PEFT.

adapter = read_adapter(folder)      a value; PEFT is not needed
merge_adapter(model, adapter)       into the weights, to run it

add_lora(model, options)            new layers, to train them
load_adapter(model, adapter)        saved layers, to train them on
save_adapter(model, folder, base)   as PEFT and transformers read it
merge(model)                        a plain model again
"""

from palikit.adapters.adapter import Adapter, FullWeight, LowRank
from palikit.adapters.inspection import AdaptedTower, AdapterInspection, inspect_adapter
from palikit.adapters.lora import adapter_of, add_lora, load_adapter, merge
from palikit.adapters.merging import changes_nothing, merge_adapter
from palikit.adapters.names import Era
from palikit.adapters.reading import is_adapter, read_adapter
from palikit.adapters.saving import save_adapter, write_adapter
from palikit.adapters.source import Source, find_source
from palikit.adapters.trainable import (
    TowerParameters,
    TrainableParameters,
    trainable_parameters,
)

__all__ = [
    "AdaptedTower",
    "Adapter",
    "AdapterInspection",
    "Era",
    "FullWeight",
    "LowRank",
    "Source",
    "TowerParameters",
    "TrainableParameters",
    "adapter_of",
    "add_lora",
    "changes_nothing",
    "find_source",
    "inspect_adapter",
    "is_adapter",
    "load_adapter",
    "merge",
    "merge_adapter",
    "read_adapter",
    "save_adapter",
    "trainable_parameters",
    "write_adapter",
]
