"""The tokenizer of a processor as a file, where nobody named the file it was read from."""

import json
from pathlib import Path
from typing import Any

from palikit.tokenizer import Tokenizer
from palikit.training.state import replace_text
from palikit.vocab import NUM_LOC, NUM_SEG

NAME = "tokenizer.json"


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write a `tokenizer.json` that loads as this tokenizer.

    A loaded tokenizer knows the control tokens of PaliGemma by their ids alone: they are put back.

    Returns:
        The file.
    """
    content = json.loads(tokenizer._file.to_str())
    there = {entry["content"] for entry in content["added_tokens"]}
    content["added_tokens"] += [
        entry for entry in _control_tokens(tokenizer) if entry["content"] not in there
    ]
    content["added_tokens"].sort(key=lambda entry: entry["id"])
    replace_text(folder / NAME, json.dumps(content, ensure_ascii=False))
    return folder / NAME


def _control_tokens(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    known = tokenizer.vocabulary
    ids = {
        "<pad>": known.pad_id,
        "<eos>": known.eos_id,
        "<bos>": known.bos_id,
        **{f"<loc{index:04d}>": known.loc_start + index for index in range(NUM_LOC)},
        **{f"<seg{index:03d}>": known.seg_start + index for index in range(NUM_SEG)},
        "<image>": known.image_id,
    }
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [{"id": id_, "content": name, **flags, "special": True} for name, id_ in ids.items()]
