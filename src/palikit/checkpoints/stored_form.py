"""How the weights of a checkpoint are held: as floats, or in fewer bits, as its config says."""

from pathlib import Path
from typing import Any, get_args

from palikit.checkpoints.layout import read_json
from palikit.errors import CheckpointError
from palikit.options import QuantizedForm

_OWN = "palikit"
_BITSANDBYTES = "bitsandbytes"

_FLOAT_IN_NF4 = [
    *("model.vision_tower", "model.multi_modal_projector", "lm_head"),
    *("vision_tower", "multi_modal_projector", "language_model.lm_head"),
]
"""Modules as transformers 5 names them, which compares from the start of a name, and as 4 did."""

FLOAT_NEEDED = "give the float checkpoint it was made from"
"""What to do where nothing more is known of what was wanted."""


def stored_form(path: Path) -> QuantizedForm | None:
    """How the weights of a checkpoint are held; None for floats, and where there is no config.

    Args:
        path: folder or file.

    Raises:
        CheckpointError: in a way that is not known here.
    """
    folder = path if path.is_dir() else path.parent
    if path.suffix == ".npz" or not (folder / "config.json").is_file():
        return None
    found = read_json(folder / "config.json").get("quantization_config")
    if found is None:
        return None
    form = _form_of(found) if isinstance(found, dict) else None
    if form is None:
        raise CheckpointError(
            f"{folder} is quantised by {_method_of(found)}, which PaliKit does not read: take the "
            "model in bfloat16 or float32 and quantise that (palikit quantize, or --quantize)"
        )
    return form


def require_float(path: Path, instead: str = FLOAT_NEEDED) -> None:
    """Make sure that a checkpoint holds floats.

    Args:
        path: folder or file.
        instead: what to do where it does not.

    Raises:
        CheckpointError: it is quantised.
    """
    form = stored_form(path)
    if form is not None:
        raise CheckpointError(f"{path} is held in {form}, and float weights are needed: {instead}")


def form_description(form: QuantizedForm, dtype: str) -> dict[str, Any]:
    """The `quantization_config` of config.json; that of nf4 is what transformers reads.

    Args:
        form: of the weights.
        dtype: name of the dtype of what stays float.
    """
    if form != "nf4":
        return {"quant_method": _OWN, "form": form}
    return {
        "quant_method": _BITSANDBYTES,
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_compute_dtype": dtype,
        "bnb_4bit_use_double_quant": False,
        "llm_int8_skip_modules": _FLOAT_IN_NF4,
    }


def _form_of(found: dict[str, Any]) -> QuantizedForm | None:
    if found.get("quant_method") == _BITSANDBYTES and found.get("bnb_4bit_quant_type") == "nf4":
        return "nf4" if found.get("load_in_4bit", True) is True else None
    form = found.get("form") if found.get("quant_method") == _OWN else None
    return next((each for each in get_args(QuantizedForm) if each == form), None)


def _method_of(found: Any) -> str:
    """The method's name, with what distinguishes its variants where that is known."""
    if not isinstance(found, dict):
        return repr(found)[:60]
    kind = found.get("bnb_4bit_quant_type") if found.get("load_in_4bit") else None
    if found.get("load_in_8bit"):
        kind = "int8"
    kind = kind or found.get("form")
    method = str(found.get("quant_method", "a method that is not named"))
    return f"{method} ({kind})" if kind else method
