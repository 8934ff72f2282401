"""Features of pictures that were asked about lately, by the content of their pixels."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from palikit.model.paligemma import PaliGemma
from palikit.processor import Prepared


def digest_of(pixels: Tensor) -> bytes:
    """SHA-256 of a preprocessed picture: nobody can make another picture that passes for it."""
    return hashlib.sha256(pixels.contiguous().numpy().data).digest()


def digests_of(prepared: Prepared) -> dict[int, bytes]:
    """Of each picture of a request, by its `id`, as `Prepared.known` orders them."""
    return {key: digest_of(pixels) for key, pixels in prepared.known.items()}


class FeatureCache:
    """What the image tower and the projection made of pictures; the one used longest ago goes.

    Of one model: a picture has other features with another. Not thread-safe: the model's thread
    has it, others read its numbers.

    Args:
        max_bytes: of features; 0 keeps none.

    Attributes:
        hits, misses: pictures whose features were at hand, or had to be computed.
        nbytes: held now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.hits = self.misses = self.nbytes = 0
        self._held: OrderedDict[bytes, Tensor] = OrderedDict()

    def features(self, model: PaliGemma, pixel_values: Tensor, digests: Sequence[bytes]) -> Tensor:
        """Image embeddings [U, I, D] of a batch's pictures, each content computed once.

        Args:
            model: the cache's own.
            pixel_values: float32[U, 3, S, S], on the model's device.
            digests: of each, by `digest_of`.
        """
        found = {digest: self._held[digest] for digest in digests if digest in self._held}
        new = {digest: place for place, digest in enumerate(digests) if digest not in found}
        if new:
            with torch.inference_mode():
                encoded = model.encode_images(pixel_values[list(new.values())])
            found |= zip(new, encoded, strict=True)
        self.misses += len(new)
        self.hits += len(digests) - len(new)
        for digest, features in found.items():
            self._keep(digest, features, is_part=digest in new and len(new) > 1)
        return torch.stack([found[digest] for digest in digests])

    def _keep(self, digest: bytes, features: Tensor, *, is_part: bool) -> None:
        """As the one used last; a part of a larger tensor is copied, or it would hold all of it."""
        if digest not in self._held:
            if features.nbytes > self.max_bytes:
                return
            self._held[digest] = features.clone() if is_part else features
            self.nbytes += features.nbytes
        self._held.move_to_end(digest)
        while self.nbytes > self.max_bytes:
            _, oldest = self._held.popitem(last=False)
            self.nbytes -= oldest.nbytes
