"""A model cut in two: `torchrun two_processes.py OUT` writes what each process computes."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist

from palikit import tasks
from palikit.errors import ConfigError
from palikit.generation import generate
from palikit.model.tensor_parallel import cut_layers, join_processes, told_by_first
from palikit.options import GenerationOptions
from palikit.request import Request
from tests import tiny

LENGTHS = [5, 9, 3]
OPTIONS = GenerationOptions(max_new_tokens=12)


def computed(family: str, mesh=None) -> dict[str, object]:
    """Logits, written tokens and typed answers of a model, whole or cut."""
    predictor = tiny.predictor(family)
    model = predictor.model
    if mesh is not None:
        cut_layers(model, mesh)
    inputs = tiny.random_inputs(LENGTHS, pictures=2)
    with torch.inference_mode():
        logits = model(inputs)
    written = generate(model, inputs, OPTIONS)
    requests = [
        Request((tiny.picture(n),), task, f"{n}")
        for n, task in enumerate([tasks.caption(), tasks.detect("cat ; dog")])
    ]
    beams = GenerationOptions(max_new_tokens=6, num_beams=3)
    return {
        "logits": logits.double().tolist(),
        "tokens": [[token.id for token in each.tokens] for each in written],
        "answers": [each.to_dict() for each in predictor.predict(requests, OPTIONS)],
        "beams": [each.to_dict() for each in predictor.predict(requests[:1], beams)],
    }


def parts(family: str, mesh) -> dict[str, object]:
    model = tiny.predictor(family).model
    whole = sum(weight.numel() for weight in model.language_model.layers.parameters())
    cut_layers(model, mesh)
    held = sum(
        weight.to_local().numel() if hasattr(weight, "to_local") else weight.numel()
        for weight in model.language_model.layers.parameters()
    )
    return {"share": held / whole, "config": asdict(model.config.text_config)}


def refusal(mesh) -> str:
    model = tiny.model()
    model.language_model.layers[0].mlp.up_proj = torch.nn.Identity()
    try:
        cut_layers(model, mesh)
    except ConfigError as error:
        return str(error)
    return ""


def main() -> None:
    out = Path(sys.argv[1])
    mesh = join_processes(2, "cpu")
    rank = dist.get_rank()
    found = {family: computed(family, mesh) for family in tiny.FAMILIES}
    found["parts"] = {family: parts(family, mesh) for family in tiny.FAMILIES}
    found["told"] = told_by_first("a\udcffé猫" if rank == 0 else None, mesh)
    found["nothing"] = told_by_first("" if rank == 0 else None, mesh)
    found["refusal"] = refusal(mesh)
    (out / f"found-{rank}.json").write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
