"""Weights in fewer bits: int8, int4, nf4 and fp8, in memory and as checkpoints on disk."""

from palikit.quantization.files import load_quantized, save_quantized
from palikit.quantization.layers import is_quantized, quantize
from palikit.quantization.nf4 import (
    FourBit,
    load_quantized_base,
    quantize_base_nf4,
    quiet_bitsandbytes,
    require_four_bit,
    save_quantized_base,
)

__all__ = [
    "FourBit",
    "is_quantized",
    "load_quantized",
    "load_quantized_base",
    "quantize",
    "quantize_base_nf4",
    "quiet_bitsandbytes",
    "require_four_bit",
    "save_quantized",
    "save_quantized_base",
]
