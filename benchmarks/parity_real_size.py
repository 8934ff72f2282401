"""A checkpoint of real size, answered by PaliKit and by transformers from the same files.

    python benchmarks/parity_real_size.py /data/random-3b photo.jpg --prompt "caption en"

Prints the difference of the first token's logits over their standard deviation, both in the
checkpoint's dtype, the scale of rounding in that dtype, and the greedy tokens of both.
"""

import argparse
from pathlib import Path

import torch

import palikit
from palikit import GenerationOptions
from palikit.generation import allocate_cache, generate
from palikit.pictures import load_picture
from palikit.processor import Query


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--prompt", default="caption en")
    parser.add_argument("--tokens", type=int, default=8)
    args = parser.parse_args()

    predictor = palikit.load(args.directory)
    picture = load_picture(args.picture)
    inputs = predictor.processor([Query((picture,), args.prompt)])
    with torch.inference_mode():
        hidden = predictor.model.prefill(inputs, allocate_cache(predictor.model, inputs, 1))
        ours = predictor.model.language_model.logits(hidden)[0]
    options = GenerationOptions(max_new_tokens=args.tokens)
    our_tokens = [t.id for t in generate(predictor.model, inputs, options)[0].tokens]

    from transformers import AutoProcessor, PaliGemmaForConditionalGeneration

    processor = AutoProcessor.from_pretrained(args.directory)
    model = PaliGemmaForConditionalGeneration.from_pretrained(args.directory).eval()
    given = processor(text="<image>" + args.prompt, images=picture, return_tensors="pt")
    given.pop("labels", None)
    with torch.inference_mode():
        theirs = model(**given).logits[0, -1].float()
        generated = model.generate(**given, max_new_tokens=args.tokens, do_sample=False)
    their_tokens = generated[0, given["input_ids"].shape[1] :].tolist()

    difference = (ours - theirs).abs() / theirs.std()
    print(f"dtype {predictor.model.dtype}, {len(ours)} logits")
    print(f"largest difference / standard deviation: {float(difference.max()):.4f}")
    print(f"mean difference / standard deviation:    {float(difference.mean()):.4f}")
    print(f"PaliKit's tokens      {our_tokens}\ntransformers' tokens  {their_tokens}")


if __name__ == "__main__":
    main()
