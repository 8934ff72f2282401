"""`load`: from the name of a model to a `Predictor`."""

import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import torch

from palikit.adapters import Source, find_source, merge_adapter
from palikit.allocation import keep_freed_memory
from palikit.checkpoints import Checkpoint, check_tokenizer, find_tokenizer, load_checkpoint
from palikit.checkpoints.layout import MASK_CODEC_NAMES, find_files
from palikit.checkpoints.stored_form import stored_form
from palikit.compute import compute_dtype
from palikit.errors import CheckpointError, InputError
from palikit.model.mask_codec import MaskCodec, load_mask_codec
from palikit.model.placement import Room, plan_for, rooms_here, spread
from palikit.options import DType, LoadOptions, QuantizedForm, Resize
from palikit.predictor import Predictor
from palikit.processor import Processor
from palikit.tokenizer import Tokenizer
from palikit.vocab import Coordinates, MaskEdges


def load(
    model: str | Path,
    *,
    device: str = "auto",
    dtype: DType = "auto",
    quantize: QuantizedForm | None = None,
    revision: str | None = None,
    adapter: str | None = None,
    image_size: int | None = None,
    resize: Resize = "bicubic",
    coordinates: Coordinates = "1023",
    mask_edges: MaskEdges = "round",
    tokenizer: str | None = None,
    mask_codec: str | None = None,
) -> Predictor:
    """Load a model, ready to be asked.

    Args:
        model: a folder, a `.safetensors` or `.npz` file, or a name on the Hub such as
            "google/paligemma2-3b-mix-448", with "@revision" or without; also the folder or name of
            an adapter, which says itself what its base is.
        device: "auto" (the first CUDA device, else the CPU) or any torch device. With "auto", a
            model of floats that is too large for one CUDA device is spread over those there are,
            then the CPU; one in fewer bits stays on one.
        dtype: "auto" keeps the checkpoint's own, but on a CPU that has no instructions for it,
            and for weights in fewer bits there, float32.
        quantize: hold the weights of a float checkpoint in fewer bits, see
            `palikit.quantization`; one that `palikit quantize` wrote needs no word.
        revision: branch, tag or commit of a name on the Hub.
        adapter: a LoRA adapter's folder or name on the Hub, from PaliKit or PEFT; it is added into
            the weights. There is a warning where it was trained on a model of another name.
        image_size: picture side in pixels, where not the checkpoint's own.
        resize: "bicubic" (transformers), "bilinear" or "bilinear_no_antialias" (big_vision).
        coordinates: grid of the location tokens, "1023" (the authors' code) or "1024".
        mask_edges: how box edges become pixels for a mask: "round" or "truncate" (the evaluator).
        tokenizer: tokenizer.json or SentencePiece .model, where none is beside the checkpoint.
        mask_codec: `vae-oid.npz`, where it is not beside the checkpoint; without one, segments
            come with their codes but without masks.

    Raises:
        CheckpointError: missing, damaged or another model's files, or no access to them.
        ConfigError: the configuration is not PaliGemma's.
        InputError: an option is out of range.
    """
    options = LoadOptions(
        device=device,
        dtype=dtype,
        quantize=quantize,
        revision=revision,
        adapter=adapter,
        image_size=image_size,
        resize=resize,
        coordinates=coordinates,
        mask_edges=mask_edges,
        tokenizer=tokenizer,
        mask_codec=mask_codec,
    )
    return load_with(str(model), options)


def load_with(model: str, options: LoadOptions) -> Predictor:
    """As `load`, with the options in one value."""
    if not model:
        raise InputError("the name of the model is empty: give a folder, a file or owner/name")
    source = find_source(model, options.revision, options.adapter)
    find_files(source.path)  # what holds no weights is told before a tokenizer is missed there
    text = Tokenizer.load(_tokenizer_path(source, options.tokenizer))
    checkpoint = _load(source, options)
    check_tokenizer(text, checkpoint.config)
    if source.remark is not None:
        warnings.warn(source.remark, UserWarning, stacklevel=2)
    image_size = checkpoint.config.vision_config.image_size
    return Predictor(
        checkpoint.model,
        Processor(text, image_size, options.resize),
        name=model,
        coordinates=options.coordinates,
        mask_edges=options.mask_edges,
        mask_codec=_mask_codec(source, options.mask_codec),
        stored_dtype=checkpoint.stored_dtype,
    )


def _load(source: Source, options: LoadOptions) -> Checkpoint:
    """The model, its adapter added and its weights held as asked for."""
    device, dtype = pick_device(options.device), pick_dtype(options.dtype)
    if device.type == "cpu":
        keep_freed_memory()
    stored = stored_form(source.path)
    if stored is not None:
        from palikit.quantization import load_quantized

        _check_quantized(source, stored, options.quantize)
        return load_quantized(
            source.path, stored, dtype=dtype, device=device, image_size=options.image_size
        )
    is_float = options.quantize is None
    rooms = _rooms(source, options, device) if is_float else None
    checkpoint = load_checkpoint(
        source.path,
        dtype=(dtype or partial(compute_dtype, device=device)) if is_float else None,
        device=device if is_float and rooms is None else torch.device("cpu"),
        image_size=options.image_size,
    )
    if source.adapter is not None:
        merge_adapter(checkpoint.model, source.adapter)
    if rooms is not None:
        spread(checkpoint.model, plan_for(checkpoint.model, rooms))
    if options.quantize is not None:
        from palikit.quantization import quantize

        quantize(checkpoint.model, options.quantize, dtype=dtype, device=device)
    return checkpoint


def _rooms(source: Source, options: LoadOptions, device: torch.device) -> list[Room] | None:
    """The devices to spread a model over; None where it is to be on one that has room for it."""
    if options.device != "auto" or device.type != "cuda":
        return None
    rooms = rooms_here()
    nbytes = sum(file.stat().st_size for file in find_files(source.path).weights)
    # Stored in half precision, as released, they double in float32; the plan counts exactly.
    needed = 2 * nbytes if options.dtype == "float32" else nbytes
    return None if needed <= rooms[0].nbytes else rooms


def _check_quantized(source: Source, stored: str, wanted: str | None) -> None:
    """A quantised checkpoint is taken as it is."""
    if wanted not in (None, stored):
        raise InputError(
            f"{source.path} is held in {stored} and {wanted} was asked for: leave quantize away, "
            "or begin with the float checkpoint"
        )
    if source.adapter is not None:
        raise CheckpointError(
            f"{source.path} is held in {stored}, and the adapter would be lost in its rounding: "
            "merge it into the float checkpoint (palikit merge) and quantise the merged one"
        )


def pick_dtype(name: DType) -> torch.dtype | None:
    """The dtype a name stands for; None for "auto", the checkpoint's own."""
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    return known.get(name)


def pick_device(name: str) -> torch.device:
    """The device a name stands for; "auto" is the first CUDA device, else the CPU.

    Raises:
        InputError: no such device, or this build of PyTorch cannot use it.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type == "meta":
            raise RuntimeError("a device without memory")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"device {name!r} cannot be used here: choose auto, cpu, or a device that "
            "`palikit env` lists"
        ) from None
    return device


def tokenizer_of(source: Source) -> Path | None:
    """The tokenizer beside a model or its adapter; None without one."""
    return next(filter(None, map(find_tokenizer, source.folders)), None)


def mask_codec_of(source: Source) -> Path | None:
    """The mask codec beside a model or its adapter; None without one."""
    return mask_codec_in(source.folders)


def mask_codec_in(folders: Iterable[Path]) -> Path | None:
    """The mask codec in the first of some folders that has one; None without one."""
    places = (folder / name for folder in folders for name in MASK_CODEC_NAMES)
    return next((file for file in places if file.is_file()), None)


def _tokenizer_path(source: Source, given: str | None) -> Path:
    found = Path(given) if given is not None else tokenizer_of(source)
    if found is None:
        raise CheckpointError(
            f"{source.path} has no tokenizer.json beside its weights: copy it there from a "
            "PaliGemma checkpoint, or give one as tokenizer (--tokenizer)"
        )
    return found


def _mask_codec(source: Source, given: str | None) -> MaskCodec | None:
    file = Path(given) if given is not None else mask_codec_of(source)
    return None if file is None else load_mask_codec(file)
