"""One model over several processes: each holds a part of every layer, and all compute each token.

Attention heads and the width of the MLPs are cut; a layer's two sums over the parts are the only
talk between processes. Of n processes, number r holds

    q, k, v        [heads * H, D]    its share of the heads (one key head alone is held by all)
    o              [D, heads * H]    the columns of those heads; outputs are summed
    gate, up       [hidden, D]       its share of the rows
    down           [D, hidden]       its share of the columns; outputs are summed

Norms, embedding table and projection are whole everywhere: they are a small part of a large model,
and so every process has all logits and chooses the same tokens. All processes must do the same
calls in the same order.

Axes: D hidden size, H head size.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    ParallelStyle,
    RowwiseParallel,
    parallelize_module,
)

from palikit.errors import ConfigError, InputError
from palikit.model.paligemma import PaliGemma
from palikit.model.sharded import is_cut

_TIMEOUT = timedelta(minutes=10)


def join_processes(count: int, device: str) -> DeviceMesh:
    """Meet the processes that torchrun started, which all have to call this.

    Those that have met already are only counted.

    Args:
        count: how many there must be.
        device: "auto", "cuda" or "cpu"; each process takes the GPU of its number on its machine.

    Raises:
        InputError: torchrun did not start so many, or there are fewer GPUs.
    """
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != count or "RANK" not in os.environ:
        raise InputError(
            f"a model cut in {count} needs {count} processes and there is {found}: begin the "
            f"command with torchrun --nproc-per-node {count} -m palikit"
        )
    has_cuda = torch.cuda.is_available()
    if device not in ("auto", "cuda", "cpu") or (device == "cuda" and not has_cuda):
        raise InputError(
            f"device {device!r} cannot be shared by {count} processes here: choose auto, cpu, or "
            "cuda where there are GPUs"
        )
    kind = "cuda" if device != "cpu" and has_cuda else "cpu"
    if kind == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise InputError(
                f"process {local} of this machine has no GPU, of which it has "
                f"{torch.cuda.device_count()}: start fewer, or choose --device cpu"
            )
        torch.cuda.set_device(local)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=_TIMEOUT)
    return init_device_mesh(kind, (count,))


def told_by_first(text: str | None, mesh: DeviceMesh) -> str:
    """What the first process says, in every process; the others give None."""
    device = torch.device(mesh.device_type)
    data = list((text or "").encode("utf-8", "surrogateescape"))
    length = torch.tensor([len(data)], device=device)
    dist.broadcast(length, 0)
    content = torch.zeros(int(length), dtype=torch.uint8, device=device)
    if text is not None:
        content.copy_(torch.tensor(data, dtype=torch.uint8))
    if content.numel():
        dist.broadcast(content, 0)
    return bytes(content.tolist()).decode("utf-8", "surrogateescape")


def cut_layers(model: PaliGemma, mesh: DeviceMesh) -> None:
    """Keep this process's part of every layer, in place, on the device of the mesh.

    `model.config` tells the heads of the part from then on, which is what its caches hold. Image
    towers whose heads do not divide stay whole.

    Args:
        model: whole, in evaluation mode; the same in every process, best mapped from its file.
        mesh: of one axis.

    Raises:
        ConfigError: heads or MLP do not divide by the number of processes, or the weights are
            quantised.
    """
    count = mesh.size()
    _check(model, count)
    text, vision = model.config.text_config, model.config.vision_config
    has_key_heads = text.num_key_value_heads % count == 0
    for layer in model.language_model.layers:
        parallelize_module(layer, mesh, _decoder_plan(keys=has_key_heads), src_data_rank=None)
    if not vision.num_attention_heads % count and not vision.intermediate_size % count:
        for layer in model.vision_tower.layers:
            parallelize_module(layer, mesh, _encoder_plan(), src_data_rank=None)
            attention: Any = layer.get_submodule("self_attn")
            attention.num_heads = vision.num_attention_heads // count
    key_heads = text.num_key_value_heads // count if has_key_heads else text.num_key_value_heads
    part = replace(
        text,
        num_attention_heads=text.num_attention_heads // count,
        num_key_value_heads=key_heads,
    )
    model.config = replace(model.config, text_config=part)
    _let_wholes_go(model, mesh)


def _check(model: PaliGemma, count: int) -> None:
    text = model.config.text_config
    heads, key_heads = text.num_attention_heads, text.num_key_value_heads
    if heads % count or (key_heads > 1 and key_heads % count) or text.intermediate_size % count:
        raise ConfigError(
            f"{heads} heads, {key_heads} key heads and an MLP of {text.intermediate_size} cannot "
            f"be cut in {count}: choose a number that divides them"
        )
    if any(type(linear) is not nn.Linear for linear in _linears(model)):
        raise ConfigError(
            "quantised weights cannot be cut among processes: load the float checkpoint without "
            "quantize"
        )


def _linears(model: PaliGemma) -> Iterator[nn.Module]:
    for layer in model.language_model.layers:
        for name in _decoder_plan(keys=True):
            yield layer.get_submodule(name)


def _decoder_plan(*, keys: bool) -> dict[str, ParallelStyle]:
    plan: dict[str, ParallelStyle] = {
        "self_attn.q_proj": ColwiseParallel(),
        "self_attn.o_proj": RowwiseParallel(),
        "mlp.gate_proj": ColwiseParallel(),
        "mlp.up_proj": ColwiseParallel(),
        "mlp.down_proj": RowwiseParallel(),
    }
    if keys:
        plan |= {"self_attn.k_proj": ColwiseParallel(), "self_attn.v_proj": ColwiseParallel()}
    return plan


def _encoder_plan() -> dict[str, ParallelStyle]:
    return {
        "self_attn.q_proj": ColwiseParallel(),
        "self_attn.k_proj": ColwiseParallel(),
        "self_attn.v_proj": ColwiseParallel(),
        "self_attn.out_proj": RowwiseParallel(),
        "mlp.fc1": ColwiseParallel(),
        "mlp.fc2": RowwiseParallel(),
    }


def _let_wholes_go(model: PaliGemma, mesh: DeviceMesh) -> None:
    """What is not cut goes to the device; a part that is a view of a whole there becomes its own.

    On the CPU a part may stay a view: of a mapped file, of which only what is read is in memory.
    """
    device = torch.device(mesh.device_type)
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if not is_cut(weight):
                weight.data = weight.data.to(device)
            elif device.type != "cpu":
                cut: DTensor = weight.data  # type: ignore[assignment]
                own = DTensor.from_local(
                    cut.to_local().clone(), mesh, cut.placements, run_check=False
                )
                module.register_parameter(name, nn.Parameter(own, requires_grad=False))
