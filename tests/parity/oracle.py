"""transformers on the same tiny random weights: the independent implementation to agree with."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from palikit.checkpoints import save_checkpoint
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from tests import tiny

WINDOW = 100_000
"""Sliding window set in the oracle: above every sequence, for PaliGemma has none."""


@dataclass(frozen=True)
class Oracle:
    """transformers' model with our weights, asked with our inputs."""

    model: torch.nn.Module

    @torch.no_grad()
    def logits(self, inputs: ModelInputs) -> Tensor:
        """Logits of the text rows, [B, T, V]; B must be 1 or the batch unpadded."""
        return self.model(**hugging_face_inputs(inputs, self.image_id)).logits[
            :, -inputs.input_ids.shape[1] :
        ]

    @torch.no_grad()
    def greedy(self, inputs: ModelInputs, steps: int) -> list[list[int]]:
        """Greedy continuations; texts of differing length are padded on the left, as is its way."""
        given = hugging_face_inputs(inputs, self.image_id)
        rows = self.model.config.text_config.vocab_size
        out = self.model.generate(
            **given,
            max_new_tokens=steps,
            do_sample=False,
            # Rows behind the last id are padding: tiny in the releases, random here.
            suppress_tokens=list(range(self.image_id, rows)),
        )[:, given["input_ids"].shape[1] :]
        return [cut_at_eos(row.tolist()) for row in out]

    @property
    def image_id(self) -> int:
        return self.model.config.image_token_id


def cut_at_eos(ids: list[int], eos: int = 1) -> list[int]:
    return ids[: ids.index(eos) + 1] if eos in ids else ids


def hugging_face_inputs(inputs: ModelInputs, image_id: int) -> dict[str, Tensor]:
    """Our batch as transformers expects it: image placeholders, left padding, token types."""
    B, M = inputs.image_index.shape
    side = inputs.pixel_values.shape[-1] // 14
    images = [image_id] * (M * side * side)
    rows, types = [], []
    for b in range(B):
        length, prefix = int(inputs.lengths[b]), int(inputs.prefix_lengths[b])
        rows.append(images + inputs.input_ids[b, :length].tolist())
        types.append([0] * (len(images) + prefix) + [1] * (length - prefix))
    width = max(map(len, rows))

    def padded(values: list[list[int]]) -> Tensor:
        return torch.tensor([[0] * (width - len(row)) + row for row in values])

    return {
        "input_ids": padded(rows),
        "attention_mask": padded([[1] * len(row) for row in rows]),
        "token_type_ids": padded(types),
        "pixel_values": inputs.pixel_values[inputs.image_index.flatten()],
    }


def load_oracle(folder: Path, dtype: torch.dtype = torch.float32, window: int = WINDOW) -> Oracle:
    """transformers' own loading of a folder."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    config = PaliGemmaConfig.from_pretrained(folder)
    if hasattr(config.text_config, "sliding_window"):
        config.text_config.sliding_window = window
    model = PaliGemmaForConditionalGeneration.from_pretrained(folder, config=config, dtype=dtype)
    return Oracle(model.eval())


def save_tiny(folder: Path, model: PaliGemma) -> Path:
    """Write a tiny checkpoint with its tokenizer."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = folder.parent / "tiny-tokenizer.json"
    tokenizer.write_text(tiny.tokenizer_json(), encoding="utf-8")
    save_checkpoint(model, folder, tokenizer_file=tokenizer)
    return folder


def relative_difference(got: Tensor, expected: Tensor) -> float:
    """Largest difference over the spread of the expected values."""
    return float((got.float() - expected.float()).abs().max() / expected.float().std())
