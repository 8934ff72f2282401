"""The small files of the transformers layout: what its model, tokenizer and processor read."""

import json
import shutil
from pathlib import Path
from typing import Any

from palikit.checkpoints.layout import read_json
from palikit.config import PaliGemmaConfig
from palikit.config_json import config_to_json


def write_side_files(
    folder: Path, config: PaliGemmaConfig, dtype: str, tokenizer_file: Path | None
) -> None:
    """Everything but the weights.

    Args:
        folder: exists.
        config: of the model.
        dtype: name of the weights' dtype.
        tokenizer_file: as `write_tokenizer` takes it; None leaves the tokenizer out.
    """
    files = {
        "config.json": config_to_json(config, dtype),
        "generation_config.json": _generation_config(config),
        "preprocessor_config.json": _preprocessor_config(config),
    }
    if tokenizer_file is not None:
        write_tokenizer(folder, tokenizer_file)
    _write(folder, files)


def write_tokenizer(folder: Path, tokenizer_file: Path) -> None:
    """Copy a tokenizer, with the settings that transformers wants beside it.

    Args:
        folder: exists.
        tokenizer_file: `tokenizer.json` or a SentencePiece `.model`.
    """
    name = "tokenizer.model" if tokenizer_file.suffix == ".model" else "tokenizer.json"
    shutil.copyfile(tokenizer_file, folder / name)
    _write(
        folder,
        {
            "tokenizer_config.json": _tokenizer_config(folder / name),
            "special_tokens_map.json": _special_tokens(),
        },
    )


def _write(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    for name, content in files.items():
        (folder / name).write_text(json_text(content), encoding="utf-8")


def json_text(content: dict[str, Any]) -> str:
    """JSON as the released files are laid out: two blanks, names in order, a final newline."""
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _generation_config(config: PaliGemmaConfig) -> dict[str, Any]:
    return {
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
        "pad_token_id": config.pad_token_id,
    }


def _preprocessor_config(config: PaliGemmaConfig) -> dict[str, Any]:
    side = config.vision_config.image_size
    return {
        # Without it transformers stops at grey and transparent pictures.
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_seq_length": config.vision_config.num_image_tokens,
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "PaliGemmaProcessor",
        "resample": 3,  # bicubic, by Pillow's number
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }


def _tokenizer_config(tokenizer_file: Path) -> dict[str, Any]:
    return {
        **_special_tokens(),
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1000000000000000019884624838656,  # transformers' word for no limit
        "padding_side": "left",
        "processor_class": "PaliGemmaProcessor",
        "tokenizer_class": _tokenizer_class(tokenizer_file),
    }


def _tokenizer_class(tokenizer_file: Path) -> str:
    """What transformers reads the tokenizer as.

    Its GemmaTokenizer takes vocabulary and merges alone out of a `tokenizer.json` and splits text
    in Gemma's way; a tokenizer that splits in another way has to be taken as it is.
    """
    if tokenizer_file.suffix == ".model":
        return "GemmaTokenizer"
    model = read_json(tokenizer_file).get("model", {})
    return "PreTrainedTokenizerFast" if model.get("ignore_merges") else "GemmaTokenizer"


def _special_tokens() -> dict[str, Any]:
    return {
        "additional_special_tokens": ["<image>"],
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
