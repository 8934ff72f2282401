r"""Hold PaliKit against big_vision's own code: very small models, random weights, on the CPU.

Run by hand; it prints the tables of section 1 of docs/numerics.md. Beside PaliKit it needs a
checkout of big_vision, JAX, and the other libraries that big_vision runs on:

    git clone https://github.com/google-research/big_vision
    pip install jax flax einops ml_collections scipy distrax tensorflow-cpu sentencepiece
    PYTHONPATH=src:big_vision JAX_PLATFORMS=cpu python benchmarks/parity_big_vision.py photos/

The argument is a folder of photographs, of which ten are taken. Nothing of big_vision is stubbed;
its table of Gemma sizes learns three small ones. Random weights are spread so widely that soft
caps, masks and positions matter, as the rows of deliberate mistakes show. A bare number is the
largest difference divided by the standard deviation of big_vision's values.

Axes: B examples, M pictures an example, T text tokens.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from palikit.beam_search import beam_search
from palikit.checkpoints import load_checkpoint, npz_reader, resample_position_table, save_npz
from palikit.config import PaliGemmaConfig, TextConfig, VisionConfig
from palikit.config_json import config_to_json
from palikit.generation import Generation, allocate_cache, generate
from palikit.model.cache import KVCache
from palikit.model.gemma import Decoder
from palikit.model.inputs import ModelInputs
from palikit.model.mask_codec import MaskCodec, crop_mask, load_mask_codec, save_mask_codec
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.processor import Processor, Query, resize_picture
from palikit.results import Box
from palikit.tokenizer import Tokenizer
from palikit.vocab import loc_token, seg_token

Rows = Iterator[tuple[str, str]]

VOCAB, STEPS, EOS, CPU = 1400, 32, 1, torch.device("cpu")
PREFIXES, SUFFIXES, NO_SUFFIX = (5, 9, 3), (6, 2, 10), (0, 0, 0)
VISION = VisionConfig(48, 80, num_hidden_layers=2, num_attention_heads=4, image_size=56)
GEMMA = TextConfig("gemma", VOCAB, 64, 128, 3, 4, 1, head_dim=16, query_pre_attn_scalar=16.0)
GEMMA2 = replace(GEMMA, model_type="gemma2", num_key_value_heads=2)
GEMMA2 = replace(GEMMA2, attn_logit_softcapping=50.0, final_logit_softcapping=30.0)
# The 28B model scales queries by width / heads, here 24, and not by the head size.
LIKE_28B = replace(GEMMA2, hidden_size=96, query_pre_attn_scalar=24.0)
# What each column stands for: the size's name in big_vision, and its small likeness.
COLUMNS = {
    "PaliGemma": ("gemma_2b", GEMMA),
    "PaliGemma 2": ("gemma2_2b", GEMMA2),
    "PaliGemma 2 28B": ("gemma2_27b", LIKE_28B),
}
PROMPTS = (
    *("caption en", "detect cat ; dog", "answer en  how many  cats?", " leading and trailing "),
    *("Größe, naïve, 猫と犬, 🐈‍⬛ 123,456.78", "tab\there", "line\nbreak", "end\n", "end\n\n", ""),
)
SUFFIX = "<loc0000><loc0511><loc1000><loc1023><seg000><seg127> cat ; <loc0001> dog\n"
BV = "big_vision."
MODULES = {
    "jax": "jax",
    "mlc": "ml_collections",
    "tf": "tensorflow",
    "sp": "sentencepiece",
    "u": BV + "utils",
    "vit": BV + "models.vit",
    "gemma": BV + "models.ppp.gemma",
    "paligemma": BV + "models.proj.paligemma.paligemma",
    "predict_fns": BV + "trainers.proj.paligemma.predict_fns",
    "mask_encoder": BV + "pp.proj.paligemma.segmentation",
    "mask_decoder": BV + "evaluators.proj.paligemma.transfers.segmentation",
    "configs": BV + "configs.proj.paligemma.transfers.common",
    "builder": BV + "pp.builder",
    # Not called, but imported for the operations that they register.
    "general": BV + "pp.ops_general",
    "image": BV + "pp.ops_image",
    "text": BV + "pp.proj.paligemma.ops",
}


class Reference:
    """Everything that users of PaliKit do not have, imported when first named."""

    def __getattr__(self, name: str) -> Any:
        return import_module(MODULES[name])


bv = Reference()


@dataclass(frozen=True)
class Pair:
    """The same weights on both sides: `ours` is read from the `.npz` of `params` by PaliKit."""

    theirs: Any
    params: Any
    ours: PaliGemma

    def forward(self, batch: dict[str, np.ndarray], params: Any = None) -> Any:
        """big_vision's logits float[B, T, V] of the text, and its intermediate values."""
        inputs = (batch["image"], batch["text"], batch["mask_ar"])
        return self.theirs.apply({"params": params or self.params}, *inputs)


def random_batch(
    suffixes: tuple[int, ...] = SUFFIXES, pictures: int = 1
) -> tuple[dict[str, np.ndarray], ModelInputs]:
    """Three examples of different lengths, for big_vision and for PaliKit."""
    rng, prefix_lengths = np.random.default_rng(1), np.array(PREFIXES)
    lengths, place = prefix_lengths + np.array(suffixes), np.arange(max(PREFIXES) + max(suffixes))
    B, M, S = len(PREFIXES), pictures, VISION.image_size
    ids = rng.integers(3, VOCAB, (B, len(place))).astype(np.int32)
    ids[place >= lengths[:, None]] = 0
    pixels = rng.uniform(-1, 1, (B, M, S, S, 3)).astype(np.float32)
    theirs = {
        "image": pixels[:, 0] if M == 1 else pixels,
        "text": ids,
        "mask_ar": (place >= prefix_lengths[:, None]).astype(np.int32),
        "mask_input": place < lengths[:, None],
        "_mask": np.ones(B, bool),
    }
    ours = ModelInputs(
        pixel_values=torch.tensor(pixels.reshape(B * M, S, S, 3)).permute(0, 3, 1, 2),
        image_index=torch.arange(B * M).reshape(B, M),
        input_ids=torch.tensor(ids).long(),
        prefix_lengths=torch.tensor(prefix_lengths),
        lengths=torch.tensor(lengths),
        has_padding=True,
        has_suffix=any(suffixes),
    )
    return theirs, ours


def make_pair(column: str, folder: Path, cache_dtype: str = "float32", *, cap: bool = True) -> Pair:
    """Random weights; `cache_dtype` of big_vision's keys and values, `cap` for the output cap."""
    text = COLUMNS[column][1]
    tower = {"patch_size": (VISION.patch_size,) * 2, "pool_type": "none", "scan": True}
    tower |= {"width": VISION.hidden_size, "mlp_dim": VISION.intermediate_size}
    tower |= {"depth": VISION.num_hidden_layers, "num_heads": VISION.num_attention_heads}
    decoder = {"variant": f"tiny {column}", "vocab_size": VOCAB, "cache_dtype": cache_dtype}
    if not cap:
        decoder["final_logits_softcap"] = 0.0
        text = replace(text, final_logit_softcapping=None)
    frozen, batch = bv.mlc.FrozenConfigDict, random_batch()[0]
    theirs = bv.paligemma.Model(img=frozen(tower), llm=frozen(decoder))
    example = (batch["image"], batch["text"], batch["mask_ar"])
    shapes = bv.jax.eval_shape(theirs.init, bv.jax.random.key(0), *example)["params"]
    params = bv.u.tree_map_with_names(random_weight, shapes)
    file, config = folder / f"{column} {cap}.npz", PaliGemmaConfig(VISION, text)
    write_npz(file, params)
    if npz_reader.read_contents(file).config != config:
        beside = npz_reader.config_beside(file)
        beside.write_text(json.dumps(config_to_json(config, "float32")))
    return Pair(theirs, params, load_checkpoint(file, dtype=None, device=CPU).model)


def small_size(released: Callable[[str], Any], variant: str) -> Any:
    """The likeness of a released size: all but these numbers stays as big_vision has it."""
    likeness, text = COLUMNS[variant.removeprefix("tiny ")]
    config = released(likeness)
    config.width, config.mlp_dim = text.hidden_size, text.intermediate_size
    config.depth, config.head_dim = text.num_hidden_layers, text.head_dim
    config.num_heads, config.num_kv_heads = text.num_attention_heads, text.num_key_value_heads
    return config


def random_weight(name: str, leaf: Any) -> np.ndarray:
    """Normal numbers for every parameter, those that start at zero included."""
    mean, std = 0.0, 0.2
    if name.endswith("input_embedding"):
        std = 0.1  # small beside the layers' part, or every token would predict itself
    elif name.endswith(("head/kernel", "pos_embedding")):
        std = 1.0
    elif name.endswith(("scale", "bias", "q_einsum/w", "kv_einsum/w")):
        std = 0.35
    if name.endswith(("post_attention_norm/scale", "post_ffw_norm/scale")):
        mean = 2.0
    elif name.endswith("final_norm/scale"):
        mean = 9.0  # logits that reach the output cap
    rng = np.random.default_rng(list(name.encode()))
    return rng.normal(mean, std, leaf.shape).astype(np.float32)


def write_npz(file: Path, params: Any) -> None:
    """Parameters under big_vision's own names."""
    named = bv.u.tree_flatten_with_names(params)[0]
    np.savez(file, **{f"params/{name}": np.asarray(leaf) for name, leaf in named})


def off(ours: Any, theirs: Any) -> str:
    """The largest difference, in standard deviations of the reference."""
    ours, theirs = np.asarray(ours, np.float32), np.asarray(theirs, np.float32)
    return f"{np.abs(ours - theirs).max() / theirs.std():.1e}"


def equal(ours: list[Any], theirs: list[Any]) -> str:
    """How many of a list are equal."""
    return f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(theirs)} equal"


def forward(pair: Pair, folder: Path) -> Rows:
    model = pair.ours
    theirs, ours = random_batch()
    head, out = pair.theirs.apply({"params": pair.params}, theirs["image"], method="embed_image")
    yield "image tower", off(model.vision_tower(ours.pixel_values), out["img/encoded"])
    yield "image tower and head", off(model.encode_images(ours.pixel_values), head)
    for pictures, what in ((1, "one picture"), (2, "two pictures")):
        theirs, ours = random_batch(pictures=pictures)
        (logits, out), real = pair.forward(theirs), theirs["mask_input"]
        plain = model.language_model.logits(model.hidden_states(ours), softcap=False)
        yield f"logits, {what}, before the output cap", off(plain[real], logits[real])
        capped = np.asarray(out["llm/logits"])[:, -real.shape[1] :]
        yield f"logits, {what}, after it", off(model(ours)[real], capped[real])


def mistakes(pair: Pair, folder: Path) -> Rows:
    """What the rows above would say of a model that is wrong in one thing."""
    text, (theirs, ours) = pair.ours.config.text_config, random_batch()
    real, right = theirs["mask_input"], pair.ours(ours)
    causal = replace(ours, prefix_lengths=torch.ones_like(ours.prefix_lengths))
    yield "a mistake: prompt read causally", off(pair.ours(causal)[real], right[real])
    for what, changed in (
        ("RoPE base 10100 for 10000", replace(text, rope_theta=10100.0)),
        ("no attention cap", replace(text, attn_logit_softcapping=None)),
        ("query scale of the head size", replace(text, query_pre_attn_scalar=text.head_dim)),
    ):
        if changed != text:
            wrong = PaliGemma(replace(pair.ours.config, text_config=changed))
            wrong.load_state_dict(pair.ours.state_dict())
            yield f"a mistake: {what}", off(wrong(ours)[real], right[real])


def training(pair: Pair, folder: Path) -> Rows:
    """The loss is restated from trainers/proj/paligemma/train.py, a closure inside its main."""
    theirs, ours = random_batch()
    targets, weights = theirs["text"][:, 1:], (theirs["mask_ar"] * theirs["mask_input"])[:, 1:]

    def their_loss(params: Any) -> Any:
        inputs = {key: theirs[key][:, :-1] for key in ("text", "mask_ar")}
        logits, _ = pair.forward({"image": theirs["image"], **inputs}, params)
        logp = (bv.jax.nn.log_softmax(logits) * bv.jax.nn.one_hot(targets, VOCAB)).sum(-1)
        return -((logp * weights).sum(-1) / weights.sum(-1)).mean()

    loss, grads = bv.jax.value_and_grad(their_loss)(pair.params)
    write_npz(folder / "gradients.npz", grads)
    contents = npz_reader.read_contents(folder / "gradients.npz")
    wanted = npz_reader.read_tensors(contents, pair.ours.config, torch.float32, CPU)
    with torch.enable_grad():
        logits = pair.ours.language_model.logits(pair.ours.hidden_states(ours), softcap=False)
        nll = F.cross_entropy(logits[:, :-1].mT, torch.tensor(targets).long(), reduction="none")
        our_loss = (nll * torch.tensor(weights / weights.sum(1, keepdims=True))).sum(1).mean()
        our_loss.backward()
    yield "training loss, difference / loss", f"{abs(our_loss.item() / float(loss) - 1):.1e}"
    worst = max(
        float((pair.ours.get_parameter(name).grad - want).norm() / want.norm())
        for name, want in wanted
        # The tower's key bias adds the same to all scores of a query: its gradient is zero.
        if not name.endswith("k_proj.bias")
    )
    yield "gradients, norm of difference / norm, worst parameter", f"{worst:.1e}"


def decoding(pair: Pair, folder: Path) -> Rows:
    dtype, inputs = pair.theirs.llm.cache_dtype, random_batch(NO_SUFFIX)[1]
    written = ids(generate(pair.ours, inputs, GenerationOptions(max_new_tokens=STEPS)))
    different = f", {np.mean([len(set(row)) for row in written]):.0f} different ids each"
    same = equal(written, their_ids("decode", pair, STEPS)) + different
    yield f"greedy texts of {STEPS} tokens, their cache {dtype}", same
    for what in ("float32",) if dtype == "float32" else ("float32", "bfloat16"):
        first, more = steps(pair, what)
        yield f"logits of the first step, their cache {dtype}, PaliKit's {what}", first
        yield f"logits of {STEPS - 1} more steps, their cache {dtype}, PaliKit's {what}", more


def steps(pair: Pair, cache_dtype: str) -> tuple[str, str]:
    """Random tokens fed to both sides one by one; PaliKit's cache rounded as `cache_dtype`."""
    batch, inputs = random_batch(NO_SUFFIX)
    prefill, extend = bv.predict_fns._prefill_cache, bv.predict_fns._extend_cache
    extend, decoder = bv.jax.jit(extend, static_argnames=("model",)), pair.ours.language_model
    logits, state = prefill(pair.params, batch, model=pair.theirs, max_decode_len=STEPS)
    cache = allocate_cache(pair.ours, inputs, STEPS)
    if cache_dtype == "bfloat16":
        cache = RoundingCache(cache.keys, cache.values, cache.lengths)
    hidden = pair.ours.prefill(inputs, cache)
    # big_vision leaves the output cap away from the logits of the first token, and only there.
    first = off(decoder.logits(hidden, softcap=False), logits[:, 0])
    ours, theirs = [], []
    for fed in np.random.default_rng(2).integers(3, VOCAB, (STEPS - 1, len(PREFIXES), 1)):
        logits, state = extend(pair.params, state, fed, model=pair.theirs)
        theirs.append(logits[:, 0])
        ours.append(decoder.logits(pair.ours.decode_step(torch.tensor(fed), cache)).numpy())
    return first, off(ours, theirs)


class RoundingCache(KVCache):
    """Keys and values as a bfloat16 cache gives them back to a float32 model."""

    def update(self, layer: int, k: Tensor, v: Tensor, slots: Tensor) -> tuple[Tensor, Tensor]:
        return super().update(layer, k.bfloat16().float(), v.bfloat16().float(), slots)


def their_ids(function: str, pair: Pair, steps: int, **options: int) -> list[list[int]]:
    """What one of big_vision's decoding functions writes, up to and including the end."""
    decode, (batch, _) = bv.predict_fns.get_all(pair.theirs)[function], random_batch(NO_SUFFIX)
    options = {"max_decode_len": steps, "eos_token": EOS, **options}
    rows = decode({"params": pair.params}, batch, devices=bv.jax.devices(), **options).tolist()
    return [row[: [*row, EOS].index(EOS) + 1] for row in rows]


def ids(texts: list[Generation]) -> list[list[int]]:
    return [[token.id for token in text.tokens] for text in texts]


def beams(pair: Pair, folder: Path) -> Rows:
    what = "with" if pair.ours.config.text_config.final_logit_softcapping else "without"
    for width in (2, 3):
        options = GenerationOptions(max_new_tokens=16, num_beams=width)
        texts = beam_search(pair.ours, random_batch(NO_SUFFIX)[1], options)
        same = equal(ids(texts), their_ids("beam_decode", pair, 16, beam_size=width))
        yield f"texts of {width} beams, {what} output cap", same


def bfloat16_file(pair: Pair, folder: Path) -> Rows:
    (theirs, ours), file = random_batch(), folder / "half.npz"
    save_npz(pair.ours, file, dtype=torch.bfloat16, overwrite=True)
    params, real = bv.u.load_params(str(file)), theirs["mask_input"]
    wanted, _ = bv.jax.jit(pair.forward)(theirs, params)
    for dtype, what in ((torch.bfloat16, "bfloat16"), (torch.float32, "float32")):
        model = load_checkpoint(file, dtype=dtype, device=CPU).model
        logits = model.language_model.logits(model.hidden_states(ours), softcap=False)
        yield f"logits, bfloat16 file, PaliKit in {what}", off(logits[real], wanted[real])


def round_trip(pair: Pair, folder: Path) -> Rows:
    save_npz(pair.ours, folder / "written.npz", overwrite=True)
    config = bv.mlc.ConfigDict({"img": {"scan": True}, "llm": {"vocab_size": VOCAB}})
    read = bv.paligemma.load(pair.params, str(folder / "written.npz"), config)
    named = (bv.u.tree_flatten_with_names(tree)[0] for tree in (read, pair.params))
    sides = ([(name, array.tobytes()) for name, array in side] for side in named)
    yield "arrays of PaliKit's .npz, read by big_vision", equal(*sides)


def position_tables() -> Rows:
    for old, new in ((16, 32), (16, 27), (32, 64), (64, 16)):
        table = np.random.default_rng(0).normal(size=(1, old**2, 24)).astype(np.float32)
        theirs = bv.vit.resample_posemb(table, np.empty((1, new**2, 24)))
        ours = resample_position_table(torch.tensor(table[0]), new)
        yield f"position table, {old} x {old} to {new} x {new}", off(ours, theirs[0])


def embedding_factors() -> Rows:
    every = np.arange(64)[None]
    for width in (2048, 2304, 3584, 4608):
        ours = Decoder(replace(GEMMA, vocab_size=64, hidden_size=width, num_hidden_layers=1))
        table = bv.jax.numpy.asarray(ours.embed_tokens.weight.numpy(), "bfloat16")
        embedder, params = bv.gemma.Embedder(64, width), {"input_embedding": table}
        theirs = embedder.apply({"params": params}, every, method="encode").astype("float32")
        embeds = ours.bfloat16().embed(torch.tensor(every)).float().numpy()
        yield f"bfloat16 embeddings of width {width}", equal(embeds[0].tolist(), theirs[0].tolist())


def mask_codec(folder: Path) -> Rows:
    rng, file = np.random.default_rng(0), folder / "codec.npz"
    torch.manual_seed(0)
    codec = MaskCodec()
    noise = torch.tensor(rng.choice([-1.0, 1.0], (8, 1, 64, 64)), dtype=torch.float32)
    # A codebook of what the encoder says, so that many codes come about.
    codec.codebook.copy_(codec.encoder(noise).flatten(2).mT.reshape(128, -1))
    save_mask_codec(codec, file)
    codec, codes = load_mask_codec(file), rng.integers(0, 128, (8, 16))
    theirs = bv.mask_decoder.get_reconstruct_masks(str(file))(codes.astype(np.int32))
    yield "mask codec, decoded", off(codec.decode(torch.tensor(codes)), theirs[..., 0])
    their_text = bv.mask_encoder.get_refcoco_mask2str(str(file))
    ours, theirs = [], []
    for corners in rng.uniform(0, 1, (50, 2, 2)).astype(np.float32):
        box = (corners * 0.4 + np.float32([[0.0], [0.5]])).reshape(4)  # y_min, x_min, y_max, x_max
        mask = rng.uniform(size=(240, 320)) < np.linspace(0, 1, 320)
        data = {"objects/mask": np.repeat(mask[..., None], 3, -1).astype(np.uint8) * 255}
        data |= {"objects/refs/sentence": "cat", "objects/bbox": box}
        data = their_text({key: bv.tf.constant(value) for key, value in data.items()})
        theirs.append(data["suffix"].numpy().decode())
        y1, x1, y2, x2 = (box * [240, 320, 240, 320]).tolist()
        crop = torch.tensor(crop_mask(mask, Box(x1, y1, x2, y2)))[None, None]
        codes = map(seg_token, codec.encode(crop)[0].tolist())
        ours.append("".join([*map(loc_token, box.tolist()), *codes]))
    yield "boxes and masks as training text", equal(ours, theirs)


def pixels(files: list[Path]) -> Rows:
    for template, side, how in (
        *(("resize({}, antialias=True)", side, "bilinear") for side in (224, 448, 896)),
        *(("resize({})", side, "bilinear_no_antialias") for side in (224, 448, 896)),
        *((name, 0, "bilinear") for name in ("decode", "decode(precise=True)")),
    ):
        name, differences = template.format(side), []
        operation = bv.builder.get_preprocess_fn(name, log_data=False)
        for file in files:
            picture = Image.open(file).convert("RGB")
            given = np.asarray(picture) if side else file.read_bytes()
            theirs = operation({"image": bv.tf.constant(given)})["image"].numpy()
            ours = resize_picture(picture, side, how) if side else np.asarray(picture)
            differences.append(np.abs(ours.astype(int) - theirs).ravel())
        levels = np.concatenate(differences)
        share = f"{(levels > 0).mean():.2%} of the values unequal"
        yield f"{name}, grey levels", f"largest {levels.max()}, mean {levels.mean():.4f}, {share}"


def examples(files: list[Path], folder: Path) -> Rows:
    """big_vision's whole training pipeline beside PaliKit's processor; a tokenizer made here."""
    model, T = folder / "gemma", 101
    options = {"model_type": "bpe", "byte_fallback": True, "split_digits": True}
    options |= {"add_dummy_prefix": False, "remove_extra_whitespaces": False}
    options |= {"normalization_rule_name": "identity", "user_defined_symbols": ["\n", "\n\n"]}
    options |= {"pad_id": 0, "eos_id": EOS, "bos_id": 2, "unk_id": 3, "vocab_size": 700}
    options |= {"eos_piece": "<eos>", "bos_piece": "<bos>"}
    text = iter(Path(bv.predict_fns.__file__).read_text(encoding="utf-8").split("\n"))
    trainer = bv.sp.SentencePieceTrainer
    trainer.train(sentence_iterator=text, model_prefix=str(model), minloglevel=2, **options)
    bv.configs.TOKENIZER = f'gemma(tokensets=("loc", "seg"), model="{model}.model")'
    steps = f"resize(224, antialias=True)|value_range(-1, 1)|{bv.configs.combine_and_keep_train(T)}"
    pipeline = bv.builder.get_preprocess_fn(steps, log_data=False)
    processor = Processor(Tokenizer.load(model.with_suffix(".model")), 224, "bilinear")
    ours, theirs, levels, place = [], [], [], np.arange(T + 1)
    for prompt, file in zip(PROMPTS, files, strict=True):
        picture = Image.open(file).convert("RGB")
        data = {"image": np.asarray(picture), "prefix": prompt, "suffix": SUFFIX}
        data = pipeline({key: bv.tf.constant(value) for key, value in data.items()})
        inputs = processor([Query((picture,), prompt, SUFFIX)])
        padded = np.pad(inputs.input_ids[0], (0, T + 1 - int(inputs.lengths)))
        causal = place >= inputs.prefix_lengths.numpy()
        ours.append([*padded, *causal, *(causal & (place < inputs.lengths.numpy()))])
        theirs.append([*data["text"], *data["mask_ar"], *data["mask_loss"]])
        shown = inputs.pixel_values[0].permute(1, 2, 0).numpy()
        levels.append(np.abs(shown - data["image"].numpy()).max())
    yield "ids and masks of training examples", equal(ours, theirs)
    yield "their pixel values, largest difference in grey levels", f"{max(levels) * 127.5:.4f}"


def main() -> None:
    files = sorted(f for f in Path(sys.argv[1]).iterdir() if f.suffix in {".jpg", ".png"})
    files = files[:: len(files) // 10][:10]
    for path in MODULES.values():
        import_module(path)
    bv.jax.config.update("jax_default_matmul_precision", "highest")
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    bv.gemma.get_config = partial(small_size, bv.gemma.get_config)
    print(*(f"{name} {version(name)}" for name in ("torch", "jax", "flax", "tensorflow-cpu")))
    cells: dict[str, dict[str, str]] = {}
    tests = (forward, mistakes, training, decoding, beams, bfloat16_file, round_trip)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for column in COLUMNS:
            pair, half = make_pair(column, folder), make_pair(column, folder, "bfloat16")
            uncapped = make_pair(column, folder, cap=False)
            rows = [row for test in tests for row in test(pair, folder)]
            for label, value in (*rows, *decoding(half, folder), *beams(uncapped, folder)):
                cells.setdefault(label, {})[column] = value
        for label, values in cells.items():
            print("|", label, "|", *(f"{values.get(column, '')} |" for column in COLUMNS))
        single = (position_tables(), embedding_factors(), mask_codec(folder), pixels(files))
        for rows in (*single, examples(files, folder)):
            for label, value in rows:
                print("|", label, "|", value, "|")


if __name__ == "__main__":
    main()
