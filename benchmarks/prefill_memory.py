"""Memory of a prefill at 896 px, where eager attention holds whole score matrices.

    python benchmarks/prefill_memory.py --layers 4

Real widths of PaliGemma 2 3B, random float32 weights, a few layers of each tower: every layer
reuses the memory of the one before, so the figure beyond weights and cache is the whole model's.
"""

import argparse
import resource
from dataclasses import replace

import torch

from palikit.generation import allocate_cache
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.published import config_for


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=896)
    args = parser.parse_args()
    config = config_for("PaliGemma 2", "3B", args.image_size).with_vocab_size(300)
    config = replace(
        config,
        vision_config=replace(config.vision_config, num_hidden_layers=args.layers),
        text_config=replace(config.text_config, num_hidden_layers=args.layers),
        image_token_index=299,
    )
    model = PaliGemma(config).eval()
    text = torch.randint(3, 299, (1, 8))
    inputs = ModelInputs(
        pixel_values=torch.rand(1, 3, args.image_size, args.image_size) * 2 - 1,
        image_index=torch.zeros(1, 1, dtype=torch.int64),
        input_ids=text,
        prefix_lengths=torch.tensor([8]),
        lengths=torch.tensor([8]),
        has_padding=False,
    )
    with torch.inference_mode():
        cache = allocate_cache(model, inputs, 64)
        before = peak_bytes()
        model.prefill(inputs, cache)
    tokens, heads = config.vision_config.num_image_tokens + 8, 8
    print(f"tokens                                 {tokens}")
    print(f"peak beyond weights and empty cache    {(peak_bytes() - before) / 2**20:.0f} MiB")
    print(f"  of which the cache, now written      {cache.keys.nbytes * 2 / 2**20:.0f} MiB")
    print(f"one float32 score matrix a layer       {heads * tokens**2 * 4 / 2**20:.0f} MiB")
    print(f"... for all 26 layers                  {26 * heads * tokens**2 * 4 / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
