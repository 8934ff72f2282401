"""Quantised checkpoints: safetensors that load as they lie, without the float weights in between.

A folder as any other, with two differences. `config.json` says how the weights are held
(`quantization_config`). And a product stands in the file as it is computed, so that it can stay
mapped: q, k and v under one name, gate and up under one name, their parts as `.weight` and, beside
it, `.weight_scale` (and `.weight_middle` for int4). The table of embeddings is quantised too.

nf4 is written as bitsandbytes names it, layer by layer; its table stays float.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from palikit.checkpoints import Checkpoint, resample_position_table
from palikit.checkpoints.atomic import replacing_folder
from palikit.checkpoints.layout import CheckpointFiles, find_files, read_json
from palikit.checkpoints.names import POSITIONS, to_hub
from palikit.checkpoints.saving import write_index, write_safetensors
from palikit.checkpoints.stored_form import form_description
from palikit.checkpoints.transformers_files import json_text, write_side_files
from palikit.checkpoints.weights import DTYPE_NAMES
from palikit.config import PaliGemmaConfig
from palikit.errors import CheckpointError
from palikit.model.paligemma import PaliGemma
from palikit.model.towers import tower_of
from palikit.options import QuantizedForm
from palikit.quantization.contents import expected_tensors, read_quantized_contents
from palikit.quantization.layers import (
    Site,
    activation_dtype,
    bias_of,
    finish,
    install,
    parts_of,
    sites,
)
from palikit.quantization.nf4 import (
    BYTES_A_NUMBER,
    load_quantized_base,
    quantize_base_nf4,
    save_quantized_base,
)

MAX_SHARD_BYTES = 10**9
"""Size at which a new file is begun; what is in memory while a model is quantised."""


def save_quantized(
    model: PaliGemma,
    form: QuantizedForm,
    directory: Path,
    *,
    tokenizer_file: Path | None,
    overwrite: bool = False,
) -> None:
    """Quantise a float model into a folder, a file's worth of weights at a time.

    Args:
        model: float weights, best mapped to their file. Left as it is, but for nf4, whose layers
            are replaced.
        form: how the weights are to be held.
        directory: appears when it is whole.
        tokenizer_file: to put beside the weights.
        overwrite: replace the files of an existing checkpoint folder.

    Raises:
        CheckpointError: the folder is not empty or cannot be written, the model is quantised
            already or has LoRA layers.
        MissingExtraError: nf4 without bitsandbytes.
    """
    products = list(sites(model))  # refuses what is no float model
    dtype = DTYPE_NAMES.get(model.dtype, "float32")
    if tokenizer_file is not None and not tokenizer_file.is_file():
        raise CheckpointError(f"{tokenizer_file}: no such tokenizer file")
    needed = _needed_bytes(model, form)
    with replacing_folder(directory, needed_bytes=needed, overwrite=overwrite) as folder:
        if form == "nf4":
            quantize_base_nf4(model)
            save_quantized_base(model, folder / "model.safetensors")
        else:
            _write_shards(folder, _quantized(model, products, form))
        write_side_files(folder, model.config, dtype, tokenizer_file)
        content = read_json(folder / "config.json")
        content["quantization_config"] = form_description(form, dtype)
        (folder / "config.json").write_text(json_text(content), encoding="utf-8")


def load_quantized(
    path: Path,
    form: QuantizedForm,
    *,
    dtype: torch.dtype | None,
    device: torch.device,
    image_size: int | None = None,
) -> Checkpoint:
    """Load a folder of `save_quantized`.

    Args:
        path: the folder.
        form: as `stored_form` tells it.
        dtype: of activations and of what stays float; None is `layers.activation_dtype`.
        device: where the weights go. On the CPU they stay mapped to their file.
        image_size: picture side in pixels; the position table is resampled when it is not the
            checkpoint's own.

    Raises:
        CheckpointError: files are missing, damaged or of another model.
        MissingExtraError: nf4 without bitsandbytes.
    """
    files = find_files(path)
    contents = read_quantized_contents(files, form)
    if contents.problems:
        raise CheckpointError(
            f"{files.directory} is incomplete or of another model: {'; '.join(contents.problems)}; "
            "fetch it again, or quantise the float model again"
        )
    stored = contents.stored_dtype
    dtype = dtype or activation_dtype(form, stored, device)
    with torch.device("meta"):
        model = PaliGemma(contents.config)
    if form == "nf4":
        load_quantized_base(model, files.weights, device, compute_dtype=dtype)
    else:
        _fill(model, form, _read(files), dtype, device)
    config = contents.config
    if image_size is not None:
        config = _resize(model, config.with_image_size(image_size))
    finish(model, dtype, device)
    return Checkpoint(config, model.eval(), path, files.format, stored)


def _needed_bytes(model: PaliGemma, form: QuantizedForm) -> int:
    """What the folder's weights will take."""
    itemsize = model.dtype.itemsize
    if form != "nf4":
        return sum(each.nbytes(itemsize) for each in expected_tensors(model, form).values())
    linears = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and tower_of(f"{name}.") == "decoder"
    }
    return sum(
        int(weight.numel() * (BYTES_A_NUMBER if name in linears else itemsize))
        for name, weight in model.named_parameters()
    )


def _quantized(
    model: PaliGemma, products: list[Site], form: QuantizedForm
) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the file, by its name there; quantised when its turn comes."""
    members = {member for site in products for member in site.members}
    for site in products:
        parts = parts_of(model, site, form)
        for suffix, part in zip(site.scheme(form).suffixes, parts, strict=True):
            yield _file_name(site.name, suffix), part
        if (bias := bias_of(model, site)) is not None:
            yield _file_name(site.name, "bias"), bias
    for name, weight in model.named_parameters():
        if name.rpartition(".")[0] not in members:
            yield to_hub(name), weight.detach()


def _write_shards(folder: Path, tensors: Iterator[tuple[str, Tensor]]) -> None:
    """Files of about `MAX_SHARD_BYTES`, numbered when it is known how many there are."""
    shards: list[list[str]] = []
    pending: dict[str, Tensor] = {}
    total = 0

    def flush() -> None:
        write_safetensors(folder / f"part-{len(shards)}", pending)
        shards.append(list(pending))
        pending.clear()

    for name, tensor in tensors:
        pending[name] = tensor
        total += tensor.nbytes
        if sum(each.nbytes for each in pending.values()) >= MAX_SHARD_BYTES:
            flush()
    if pending:
        flush()
    if len(shards) == 1:
        (folder / "part-0").rename(folder / "model.safetensors")
        return
    names = [f"model-{n + 1:05d}-of-{len(shards):05d}.safetensors" for n in range(len(shards))]
    for number, name in enumerate(names):
        (folder / f"part-{number}").rename(folder / name)
    write_index(folder, dict(zip(names, shards, strict=True)), total)


def _file_name(site: str, suffix: str) -> str:
    return to_hub(f"{site}.{suffix}")


def _read(files: CheckpointFiles) -> dict[str, Tensor]:
    """Every tensor by its name in the files, mapped to them."""
    tensors: dict[str, Tensor] = {}
    for file in files.weights:
        try:
            with safe_open(file, framework="pt", device="cpu") as stored:
                tensors |= {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no dict)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} is damaged ({error}); fetch it again") from None
    return tensors


def _fill(
    model: PaliGemma,
    form: QuantizedForm,
    stored: dict[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
) -> None:
    """Put stored layers and weights, which are known to fit, into a model on the meta device."""
    for site in list(sites(model)):
        suffixes = site.scheme(form).suffixes
        parts = tuple(stored[_file_name(site.name, suffix)].to(device) for suffix in suffixes)
        bias = stored.get(_file_name(site.name, "bias"))
        install(model, site, form, parts, None if bias is None else bias.to(device), dtype)
    floats = {name: stored[to_hub(name)].to(device) for name, _ in model.named_parameters()}
    model.load_state_dict(floats, strict=False, assign=True)


def _resize(model: PaliGemma, config: PaliGemmaConfig) -> PaliGemmaConfig:
    """Another picture size: the position table resampled."""
    grid = config.vision_config.image_size // config.vision_config.patch_size
    table = model.get_parameter(POSITIONS)
    resampled = resample_position_table(table.detach(), grid)
    model.vision_tower.position_embedding.weight = torch.nn.Parameter(
        resampled, requires_grad=False
    )
    model.config = config
    return config
