"""Time and memory of a training step, against transformers with PEFT.

    python benchmarks/training_step.py --dtype bfloat16

PaliGemma 2 3B at its real widths with a few layers of each tower, random weights written once and
read by both; LoRA on all linear layers of the decoder; the same two examples. Every measurement is
a process of its own, the two sides take turns, and the peak is that of resident memory from the
first step on, weights included. Processor time stands beside time by the clock, for a machine that
has other things to do; on one thread they are the same otherwise.

With bfloat16 weights both run under autocast, as the training loops of both do, and keep the
weights of LoRA in float32. Both compute the same loss: the mean over tokens, with the output cap,
over the whole table. The two examples are of one length, so that neither side pads.
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model, inject_adapter_in_model
from torch import Tensor, nn

from palikit.checkpoints import load_checkpoint, save_checkpoint
from palikit.config import PaliGemmaConfig
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.published import config_for
from palikit.train_options import LossOptions
from palikit.training.loss import TrainingModel

BATCH, PREFIX, SUFFIX = 2, 8, 40
LORA = LoraConfig(
    r=8,
    lora_alpha=8,
    target_modules=r".*language_model.*\.(q|k|v|o|gate|up|down)_proj",
)
LOSS = LossOptions(mean="token", softcap=True, padding_rows=True)
RESULTS = Path(__file__).parent / "results" / "training_step.json"


def small_config(layers: int, image_size: int) -> PaliGemmaConfig:
    config = config_for("PaliGemma 2", "3B", image_size)
    return replace(
        config,
        vision_config=replace(config.vision_config, num_hidden_layers=layers),
        text_config=replace(config.text_config, num_hidden_layers=layers),
    )


def write_weights(folder: Path, layers: int, image_size: int, dtype: torch.dtype) -> None:
    with torch.device("meta"):
        model = PaliGemma(small_config(layers, image_size))
    model = model.to(dtype).to_empty(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.02)
    save_checkpoint(model, folder, tokenizer_file=None)


def examples(config: PaliGemmaConfig) -> ModelInputs:
    generator = torch.Generator().manual_seed(1)
    side = config.vision_config.image_size
    return ModelInputs(
        pixel_values=torch.rand((BATCH, 3, side, side), generator=generator) * 2 - 1,
        image_index=torch.arange(BATCH)[:, None],
        input_ids=torch.randint(10, 256000, (BATCH, PREFIX + SUFFIX), generator=generator),
        prefix_lengths=torch.full((BATCH,), PREFIX),
        lengths=torch.full((BATCH,), PREFIX + SUFFIX),
        has_padding=False,
        has_suffix=True,
    )


def our_step(folder: Path, checkpointing: bool) -> tuple[nn.Module, Callable[[], Tensor]]:
    model = load_checkpoint(folder, dtype=None, device=torch.device("cpu")).model
    inputs = examples(model.config)
    model.requires_grad_(requires_grad=False)
    inject_adapter_in_model(LORA, model)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = weight.data.float()  # as get_peft_model does on the other side
    model.language_model.checkpoint_layers = checkpointing
    training = TrainingModel(model, LOSS).train()
    return training, lambda: training(inputs)


def their_step(folder: Path, checkpointing: bool) -> tuple[nn.Module, Callable[[], Tensor]]:
    from transformers import PaliGemmaForConditionalGeneration

    model = PaliGemmaForConditionalGeneration.from_pretrained(folder, dtype="auto")
    config = load_checkpoint(folder, dtype=None, device=torch.device("meta")).model.config
    inputs, images = examples(config), config.vision_config.num_image_tokens
    before = torch.full((BATCH, images), config.image_token_index)
    ids = torch.cat((before, inputs.input_ids), dim=1)
    is_suffix = (torch.arange(ids.shape[1]) >= images + PREFIX).expand(BATCH, -1)
    given = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "token_type_ids": is_suffix.long(),
        "pixel_values": inputs.pixel_values,
        "labels": ids.masked_fill(~is_suffix, -100),
        "use_cache": False,
    }
    adapted = get_peft_model(model, LORA).train()
    if checkpointing:
        adapted.gradient_checkpointing_enable({"use_reentrant": False})
    return adapted, lambda: adapted(**given).loss


def measure(side: str, folder: Path, steps: int, checkpointing: bool) -> dict[str, object]:
    make = our_step if side == "palikit" else their_step
    model, loss = make(folder, checkpointing)
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    # Linux: the peak starts again from what is resident now, without the peak of loading.
    Path("/proc/self/clear_refs").write_text("5")
    is_half = any(weight.dtype == torch.bfloat16 for weight in model.parameters())
    seconds, cpu_seconds, losses = [], [], []
    for _ in range(steps):
        start, cpu_start = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            value = loss()
        value.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
        cpu_seconds.append(time.process_time() - cpu_start)
        losses.append(float(value.detach()))
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024
    parameters = sum(weight.numel() for weight in trained)
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "losses": losses,
        "peak": peak,
        "trained": parameters,
    }


def run(side: str, args: argparse.Namespace, folder: Path) -> dict[str, object]:
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    command += ["--steps", str(args.steps), "--threads", str(args.threads)]
    command += ["--checkpointing"] if args.checkpointing else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(args: argparse.Namespace) -> dict[str, object]:
    sides: dict[str, list[dict]] = {"palikit": [], "transformers": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "weights"
        write_weights(folder, args.layers, args.image_size, getattr(torch, args.dtype))
        for _ in range(args.rounds):
            for side, runs in sides.items():
                runs.append(run(side, args, folder))
                print(side, runs[-1], flush=True)
    step, cpu = (
        {k: statistics.median(s for r in runs for s in r[what]) for k, runs in sides.items()}
        for what in ("seconds", "cpu_seconds")
    )
    peak = {k: max(r["peak"] for r in runs) for k, runs in sides.items()}
    return {
        "dtype": args.dtype,
        "checkpointing": args.checkpointing,
        "layers": args.layers,
        "image_size": args.image_size,
        "threads": args.threads,
        "step_seconds": step,
        "step_cpu_seconds": cpu,
        "peak_bytes": peak,
        "time_ratio": step["palikit"] / step["transformers"],
        "cpu_time_ratio": cpu["palikit"] / cpu["transformers"],
        "memory_ratio": peak["palikit"] / peak["transformers"],
        "runs": sides,
    }


def environment() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    names = ("torch", "transformers", "peft")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.backends.cpu.get_cpu_capability()}",
        "python": platform.python_version(),
        **{name: version(name) for name in names},
        "commit": commit.stdout.strip(),
    }


def save(result: dict[str, object]) -> None:
    """Add to the results file, in the place of an earlier result of the same setting."""
    kept = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else []
    setting = ("dtype", "checkpointing", "layers", "image_size", "threads")
    kept = [old for old in kept if any(old[key] != result[key] for key in setting)]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"results": [*kept, result]}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", default="bfloat16", choices=["bfloat16", "float32"])
    parser.add_argument("--checkpointing", action="store_true", help="of the layers, on both sides")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=448, choices=[224, 448, 896])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["palikit", "transformers"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.side:
        print(json.dumps(measure(args.side, args.folder, args.steps, args.checkpointing)))
        return
    result = {**environment(), **compare(args)}
    save(result)
    print(f"a step      {result['time_ratio']:.3f} of the time of transformers + PEFT")
    print(f"            {result['cpu_time_ratio']:.3f} of its processor time")
    print(f"            {result['memory_ratio']:.3f} of its peak memory")


if __name__ == "__main__":
    main()
