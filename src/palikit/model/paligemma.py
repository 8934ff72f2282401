"""PaliGemma: the image tower, a linear projection, and the decoder, joined.

    pixel_values -> vision_tower -> multi_modal_projector -> image_embeds --+
                                                                            +-> decoder -> logits
    input_ids -> table * sqrt(D) -> text embeds ----------------------------+

Axes: B batch, U distinct pictures, M pictures an example, I image tokens a picture, T text tokens,
L = M * I + T, Q new tokens, D hidden size of the decoder, V rows of the embedding table.
"""

import torch
from torch import Tensor, nn

from palikit.config import PaliGemmaConfig
from palikit.model.attention import AttentionFunction, attention, prefix_limits
from palikit.model.cache import KVCache
from palikit.model.gemma import Decoder
from palikit.model.inputs import ModelInputs
from palikit.model.siglip import VisionTower


class PaliGemma(nn.Module):
    """PaliGemma or PaliGemma 2, by its config."""

    def __init__(
        self, config: PaliGemmaConfig, attention_function: AttentionFunction = attention
    ) -> None:
        super().__init__()
        self.config = config
        self.vision_tower = VisionTower(config.vision_config, attention_function)
        self.multi_modal_projector = nn.Linear(
            config.vision_config.hidden_size, config.text_config.hidden_size
        )
        self.language_model = Decoder(config.text_config, attention_function)

    @property
    def device(self) -> torch.device:
        """Where the decoder's weights are."""
        return self.language_model.norm.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of activations, and of weights that are not quantised."""
        return self.language_model.norm.weight.dtype

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Scores of the next token after every text token: float32[B, T, V]."""
        return self.language_model.logits(self.hidden_states(inputs))

    def encode_images(self, pixel_values: Tensor) -> Tensor:
        """float[U, 3, h, w] in [-1, 1] -> image embeddings [U, I, D], which carry no scale."""
        weight = self.vision_tower.patch_embedding.weight
        embeds: Tensor = self.multi_modal_projector(
            self.vision_tower(pixel_values.to(weight.dtype))
        )
        return embeds

    def hidden_states(self, inputs: ModelInputs, image_embeds: Tensor | None = None) -> Tensor:
        """Final hidden states of the text tokens [B, T, D]: what the head turns into logits.

        Args:
            inputs: the batch.
            image_embeds: [U, I, D] from `encode_images`, where they are already at hand.
        """
        embeds, positions, limits = self._join(inputs, image_embeds)
        hidden = self.language_model(embeds, positions, limits, None)
        T = inputs.input_ids.shape[1]
        out: Tensor = self.language_model.norm(hidden[:, -T:])
        return out

    def prefill(
        self, inputs: ModelInputs, cache: KVCache, image_embeds: Tensor | None = None
    ) -> Tensor:
        """Read pictures and prompts into an empty cache.

        Returns:
            [B, D]: the final hidden state of each row's last token.
        """
        embeds, positions, limits = self._join(inputs, image_embeds)
        num_image = embeds.shape[1] - inputs.input_ids.shape[1]
        cache.lengths.copy_(inputs.lengths + num_image)
        cache.end, cache.is_uniform = (
            embeds.shape[1],
            True,
        )  # all write the same slots, even padding
        hidden = self._last(embeds, positions, limits, cache, cache.lengths - 1)
        cache.is_uniform = not inputs.has_padding
        return hidden

    def decode_step(
        self, token_ids: Tensor, cache: KVCache, counts: Tensor | None = None
    ) -> Tensor:
        """Append tokens to every row.

        Args:
            token_ids: int64[B, Q], padded on the right.
            cache: advanced by `counts` tokens a row.
            counts: int64[B], how many of a row's Q tokens are meant, 0 for a row that rests; None
                when all are.

        Returns:
            [B, D]: the final hidden state of each row's last new token.
        """
        Q = token_ids.shape[1]
        offsets = torch.arange(Q, device=token_ids.device)
        # A resting row near the end of the cache writes its padding over the last slot.
        positions = (cache.lengths[:, None] + offsets).clamp(max=cache.capacity - 1)
        cache.end = min(cache.end + Q, cache.capacity)
        cache.is_uniform = cache.is_uniform and counts is None
        embeds = self.language_model.embed(token_ids)
        limits = None if cache.is_uniform and Q == 1 else positions + 1
        if counts is None:
            cache.lengths += Q
            last = torch.full_like(cache.lengths, Q - 1)
        else:
            cache.lengths += counts
            last = (counts - 1).clamp(min=0)
        return self._last(embeds, positions, limits, cache, last)

    def _join(
        self, inputs: ModelInputs, image_embeds: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Embeddings [B, L, D], positions [B, L] and limits [B, L] of whole sequences."""
        if image_embeds is None:
            image_embeds = self.encode_images(inputs.pixel_values)
        text = self.language_model.embed(inputs.input_ids)
        pictures = image_embeds[inputs.image_index].flatten(1, 2).to(text.dtype)  # [B, M * I, D]
        embeds = torch.cat((pictures, text), dim=1)
        B, L = embeds.shape[:2]
        positions = torch.arange(L, device=embeds.device).expand(B, L)
        if not (inputs.has_padding or inputs.has_suffix):
            return embeds, positions, None
        limits = prefix_limits(inputs.prefix_lengths, inputs.lengths, pictures.shape[1], L)
        return embeds, positions, limits

    def _last(
        self,
        embeds: Tensor,
        positions: Tensor,
        limits: Tensor | None,
        cache: KVCache,
        index: Tensor,
    ) -> Tensor:
        """Row b's final hidden state at token index[b], normed: [B, D]."""
        read = None if embeds.shape[1] == 1 else index
        hidden = self.language_model(embeds, positions, limits, cache, read)
        out: Tensor = self.language_model.norm(hidden[:, 0])
        return out
