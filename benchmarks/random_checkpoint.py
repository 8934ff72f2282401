"""Write a checkpoint of a published size with random weights: as large and as fast as a real one.

python benchmarks/random_checkpoint.py /data/random-3b --tokenizer tokenizer.json
python benchmarks/random_checkpoint.py /data/random-3b-448 --image-size 448 --tokenizer ...
"""

import argparse
from pathlib import Path

import torch

from palikit.checkpoints import save_checkpoint
from palikit.model.paligemma import PaliGemma
from palikit.published import config_for


def random_model(family: str, size: str, image_size: int, dtype: torch.dtype) -> PaliGemma:
    """Built without weights first, so that only the wanted dtype is ever in memory."""
    with torch.device("meta"):
        model = PaliGemma(config_for(family, size, image_size))
    model = model.to(dtype).to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.02)
    return model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--family", default="PaliGemma 2", choices=["PaliGemma", "PaliGemma 2"])
    parser.add_argument("--size", default="3B", choices=["3B", "10B", "28B"])
    parser.add_argument("--image-size", type=int, default=224, choices=[224, 448, 896])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float16", "float32"])
    parser.add_argument("--tokenizer", type=Path, required=True, help="the released tokenizer.json")
    args = parser.parse_args()
    model = random_model(args.family, args.size, args.image_size, getattr(torch, args.dtype))
    save_checkpoint(model, args.directory, tokenizer_file=args.tokenizer)
    print(f"wrote {args.directory}")


if __name__ == "__main__":
    main()
