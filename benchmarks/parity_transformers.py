"""The parity table: PaliKit against transformers on tiny random models, one row a case.

    python benchmarks/parity_transformers.py            # a minute; needs palikit[test]
    python benchmarks/parity_transformers.py --shared ../shared    # with real pictures and ids

"Difference" is the largest absolute difference over the standard deviation of the expected values.
The oracle's sliding window is set above the sequence length, for PaliGemma has none.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for the tests' oracle

from palikit.checkpoints import load_checkpoint, save_checkpoint
from palikit.generation import generate
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.pictures import load_picture
from palikit.processor import Processor, Query
from palikit.tokenizer import Tokenizer
from tests import tiny
from tests.parity.oracle import (
    Oracle,
    load_oracle,
    relative_difference,
    save_tiny,
)
from tests.tiny import random_inputs, row_of

CPU = torch.device("cpu")


@torch.no_grad()
def logits_rows(model: PaliGemma, oracle: Oracle) -> Iterator[tuple[str, str]]:
    """Differences of logits, over prefix and suffix."""
    for name, pictures in (("one picture", 1), ("two pictures", 2)):
        worst = 0.0
        for seed in range(10):
            inputs = random_inputs([9], [5], pictures=pictures, seed=seed)
            worst = max(worst, relative_difference(model(inputs), oracle.logits(inputs)))
        yield f"logits, {name}", f"{worst:.1e}"
    inputs = random_inputs([9, 6, 12], [5, 6, 3])
    ours = model(inputs)
    worst = max(
        relative_difference(ours[b, :length], oracle.logits(row_of(inputs, b))[0])
        for b, length in enumerate([9, 6, 12])
    )
    yield "logits, padded batch against single queries", f"{worst:.1e}"


def greedy_rows(model: PaliGemma, oracle: Oracle) -> Iterator[tuple[str, str]]:
    """Share of identical greedy tokens over 64 steps."""
    inputs = random_inputs([3 + (7 * seed) % 11 for seed in range(20)])
    generations = generate(model, inputs, GenerationOptions(max_new_tokens=64))
    ours = [[token.id for token in generation.tokens] for generation in generations]
    for name, theirs in (
        ("theirs one by one", [oracle.greedy(row_of(inputs, b), 64)[0] for b in range(20)]),
        ("theirs in a padded batch", oracle.greedy(inputs, 64)),
    ):
        same = sum(mine == other for mine, other in zip(ours, theirs, strict=True))
        yield f"greedy, 20 queries x 64 tokens, {name}", f"{same} of 20 identical"


@torch.no_grad()
def file_rows(model: PaliGemma, oracle: Oracle, folder: Path) -> Iterator[tuple[str, str]]:
    """Files in both directions, and bfloat16."""
    inputs = random_inputs([9], [5])
    again = load_checkpoint(folder, dtype=None, device=CPU).model
    yield "ours saved and loaded again", f"{relative_difference(again(inputs), model(inputs)):.1e}"
    theirs = folder.parent / "theirs"
    oracle.model.save_pretrained(theirs)
    again = load_checkpoint(theirs, dtype=None, device=CPU).model
    yield (
        "saved by transformers, loaded",
        f"{relative_difference(again(inputs), model(inputs)):.1e}",
    )
    half = load_checkpoint(folder, dtype=torch.bfloat16, device=CPU).model
    their_half, own_error, distance = load_oracle(folder, torch.bfloat16), 0.0, 0.0
    for seed in range(10):
        inputs = random_inputs([9], [5], seed=seed)
        rounded = their_half.logits(inputs).float()
        own_error = max(own_error, float((rounded - oracle.logits(inputs)).abs().max()))
        distance = max(distance, float((half(inputs) - rounded).abs().max()))
    yield "bfloat16: ours to theirs, over theirs to its float32", f"{distance / own_error:.2f}"


def processor_rows(shared: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Ids and pixels against transformers' processor."""
    from transformers import AutoProcessor

    from tests.parity.prompts import PROMPTS

    tokenizer = shared / "tokenizer" / "tokenizer.json"
    for size in (224, 448):
        config = replace(tiny.config(image_size=size), image_token_index=257152)
        model = PaliGemma(config.with_vocab_size(257216))
        save_checkpoint(model, folder / str(size), tokenizer_file=tokenizer)
        theirs = AutoProcessor.from_pretrained(folder / str(size))
        ours = Processor(Tokenizer.load(tokenizer), size)
        largest, photos = 0.0, sorted((shared / "data" / "photos").glob("*.[jp][pn]g"))
        for path in photos:
            picture = load_picture(path)
            expected = theirs.image_processor(picture, return_tensors="np")["pixel_values"][0]
            got = ours.pixel_values([picture])[0].numpy()
            largest = max(largest, float(np.abs(got - expected).max()))
        yield f"pixels of {len(photos)} photos at {size} px, largest difference", f"{largest:g}"
    picture, tokens = tiny.picture(), ours.image_size**2 // 14**2
    same = sum(
        theirs(text="<image>" + prompt, images=picture)["input_ids"][0][tokens:]
        == ours.text_ids(Query((picture,), prompt))[0]
        for prompt in PROMPTS
    )
    yield "ids of prompts in 32 languages", f"{same} of {len(PROMPTS)} identical"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, help="folder with tokenizer/ and data/photos/")
    args = parser.parse_args()
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"torch {torch.__version__}, transformers {transformers.__version__}\n")
    print("| model | case | result |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for family in tiny.FAMILIES:
            model = tiny.model(family)
            folder = save_tiny(Path(temporary) / family / "ours", model)
            oracle = load_oracle(folder)
            for rows in (
                logits_rows(model, oracle),
                greedy_rows(model, oracle),
                file_rows(model, oracle, folder),
            ):
                for case, result in rows:
                    print(f"| {family} | {case} | {result} |", flush=True)
        if args.shared:
            for case, result in processor_rows(args.shared, Path(temporary)):
                print(f"| processor | {case} | {result} |", flush=True)


if __name__ == "__main__":
    main()
