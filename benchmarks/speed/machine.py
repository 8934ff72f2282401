"""The limits of this machine: read bandwidth and matrix rates on a CPU, copies and bf16 on a GPU.

    python -m benchmarks.speed.machine

A process of its own, so that neither its buffers nor its settings stand beside what is measured.
Every figure is the best of five: a limit is what the machine can do when nothing disturbs it.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

BUFFER_BYTES = 2_200_000_000
"""Larger than any cache, and over 2 GB."""

ROWS, WIDE, DEEP = 272, 18432, 2304
"""A prompt at 224 px times gate and up of PaliGemma 2 3B."""

GPU_SIDE = 8192
REPEATS = 5


@dataclass(frozen=True)
class Limits:
    """What this machine reaches at most; None where it does not apply.

    Attributes:
        read_bytes_per_second: all threads reading a buffer larger than any cache.
        read_method: "compiled", or "torch" where no C compiler was found: a sum, somewhat slower.
        copy_bytes_per_second: bytes read and written by a copy on the GPU.
        int_mm_per_second, packed_per_second: int8 operations, two a product, on a CPU at 272 rows:
            of `torch._int_mm`, and of the packed kernel with its quantisation of activations.
        float32_per_second, bfloat16_per_second: operations, two a product.
    """

    read_bytes_per_second: float | None = None
    read_method: str | None = None
    copy_bytes_per_second: float | None = None
    int_mm_per_second: float | None = None
    packed_per_second: float | None = None
    float32_per_second: float | None = None
    bfloat16_per_second: float | None = None

    @property
    def bandwidth(self) -> float | None:
        """Bytes/s at which weights can be read at most."""
        return self.copy_bytes_per_second or self.read_bytes_per_second

    def rate(self, form: str) -> float | None:
        """Operations/s at most for weights of a form; None where it is not measured."""
        floats = [self.float32_per_second, self.bfloat16_per_second]
        candidates = {
            "float32": [self.float32_per_second],
            # bfloat16 weights may be multiplied in float32 where that is faster.
            "bfloat16": floats,
            "int8": [self.int_mm_per_second, self.packed_per_second, *floats],
        }
        known = [rate for rate in candidates.get(form, []) if rate is not None]
        return max(known, default=None)


def best_of(first: Limits, second: Limits) -> Limits:
    """The higher of two measurements of each limit."""
    values = {}
    for each in fields(Limits):
        known = [v for v in (getattr(first, each.name), getattr(second, each.name)) if v]
        values[each.name] = max(known, default=None)
    return Limits(**values)


def measure_cpu(threads: int, scale: float) -> Limits:
    """All limits of the processor; `scale` below 1 is for trying the harness out."""
    import torch

    torch.set_num_threads(threads)
    nbytes, wide = int(BUFFER_BYTES * scale), max(64, int(WIDE * scale) // 64 * 64)
    compiled = read_compiled(threads, nbytes)
    x, w = torch.randn(ROWS, DEEP), torch.randn(wide, DEEP)
    small = torch.randint(-127, 127, (ROWS, DEEP), dtype=torch.int8)
    whole = torch.randint(-127, 127, (wide, DEEP), dtype=torch.int8).t()
    half, half_w = x.bfloat16(), w.bfloat16().t()
    return Limits(
        read_bytes_per_second=compiled or read_torch(nbytes),
        read_method="compiled" if compiled else "torch",
        int_mm_per_second=rate(lambda: torch._int_mm(small, whole), wide),
        packed_per_second=packed_rate(x, w),
        float32_per_second=rate(lambda: x @ w.t(), wide),
        bfloat16_per_second=rate(lambda: half @ half_w, wide),
    )


def rate(product: Callable[[], object], wide: int) -> float:
    """Operations/s of a product of ROWS x DEEP x `wide`."""
    product()
    return 2 * ROWS * DEEP * wide / best_seconds(product)


def packed_rate(x: object, w: object) -> float | None:
    """Operations/s of the linear layer over packed int8 weights; None where there is none."""
    import torch

    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    before = torch.backends.quantized.engine
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # quantised tensors are deprecated; the kernel is not
        torch.backends.quantized.engine = "fbgemm"
        try:
            stored = torch.quantize_per_tensor(w, 0.05, 0, torch.qint8)
            packed = torch.ops.quantized.linear_prepack(stored, None)
            return rate(lambda: torch.ops.quantized.linear_dynamic(x, packed), len(w))
        finally:
            torch.backends.quantized.engine = before


def read_compiled(threads: int, nbytes: int) -> float | None:
    """Bytes/s by the program beside this file; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        program, source = Path(folder) / "read", Path(__file__).with_name("read.c")
        flags = ["-O3", "-march=native", "-pthread"]
        build = [compiler, *flags, str(source), "-o", str(program)]
        if subprocess.run(build, capture_output=True, check=False).returncode:
            return None
        command = [str(program), str(threads), str(nbytes), str(REPEATS)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return max(float(line) for line in done.stdout.split())


def read_torch(nbytes: int) -> float:
    """Bytes/s of a sum, which is not far from the limit."""
    import torch

    buffer = torch.ones(nbytes // 4)
    return buffer.nbytes / best_seconds(buffer.sum)


def measure_cuda(scale: float) -> Limits:
    """Copy bandwidth and rates of bfloat16 and 8-bit products of the GPU."""
    import torch

    side = max(64, int(GPU_SIDE * scale))
    source = torch.ones(int(BUFFER_BYTES * scale), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    x = torch.randn(side, side, dtype=torch.bfloat16, device="cuda")
    whole = torch.randint(-127, 127, (side, side), dtype=torch.int8, device="cuda")

    def settled(call: Callable[[], object]) -> float:
        def whole() -> None:
            call()
            torch.cuda.synchronize()

        whole()
        return best_seconds(whole)

    return Limits(
        copy_bytes_per_second=2 * source.nbytes / settled(lambda: target.copy_(source)),
        bfloat16_per_second=2 * side**3 / settled(lambda: x @ x),
        int_mm_per_second=2 * side**3 / settled(lambda: torch._int_mm(whole, whole.t())),
    )


def best_seconds(call: Callable[[], object]) -> float:
    """The shortest of some calls."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--scale", type=float, default=1.0, help="share of the real sizes")
    args = parser.parse_args()
    is_gpu = args.device == "cuda"
    limits = measure_cuda(args.scale) if is_gpu else measure_cpu(args.threads, args.scale)
    print(json.dumps(asdict(limits)))


if __name__ == "__main__":
    main()
