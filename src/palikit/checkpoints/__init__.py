"""Checkpoints on disk and on the Hugging Face Hub: read, write, convert, look into.

Two layouts: transformers (safetensors beside a config.json) and the JAX release (one `.npz`).
"""

from palikit.checkpoints.convert import convert_checkpoint
from palikit.checkpoints.hub import resolve
from palikit.checkpoints.hub_inspection import inspect_model
from palikit.checkpoints.inspection import Inspection, WeightFile, inspect_checkpoint, memory_bytes
from palikit.checkpoints.layout import Format, find_tokenizer
from palikit.checkpoints.loading import Checkpoint, check_tokenizer, load_checkpoint
from palikit.checkpoints.npz_writer import save_npz
from palikit.checkpoints.positions import resample_position_table
from palikit.checkpoints.saving import save_checkpoint

__all__ = [
    "Checkpoint",
    "Format",
    "Inspection",
    "WeightFile",
    "check_tokenizer",
    "convert_checkpoint",
    "find_tokenizer",
    "inspect_checkpoint",
    "inspect_model",
    "load_checkpoint",
    "memory_bytes",
    "resample_position_table",
    "resolve",
    "save_checkpoint",
    "save_npz",
]
