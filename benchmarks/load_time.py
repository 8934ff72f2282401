"""Time and memory to load a checkpoint, against plainly reading its files.

    python benchmarks/load_time.py /data/random-3b --repeats 5

Both run in processes of their own, in turn, with the files in the same state of the page cache
(warm: everything is read once before). Loading counts until every page of every weight is
resident; reading counts until every byte has been copied into a buffer.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

READ = """
import pathlib, sys, time
buffer = memoryview(bytearray(16 * 2**20))
start = time.perf_counter()
for file in sorted(pathlib.Path(sys.argv[1]).glob("*.safetensors")):
    with file.open("rb", buffering=0) as stream:
        while stream.readinto(buffer):
            pass
print(time.perf_counter() - start, 0)
"""

LOAD = """
import pathlib, resource, sys, time
import torch
from palikit.checkpoints import load_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
model = load_checkpoint(pathlib.Path(sys.argv[1]), dtype=None, device=torch.device("cpu")).model
for weight in model.parameters():
    weight.detach().view(-1).view(torch.uint8)[::4096].sum()
seconds = time.perf_counter() - start
print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def run(code: str, directory: Path) -> tuple[float, float]:
    """Seconds and bytes that a child process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, str(directory)], capture_output=True, text=True, check=True
    )
    seconds, nbytes = done.stdout.split()
    return float(seconds), float(nbytes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    size = sum(file.stat().st_size for file in args.directory.glob("*.safetensors"))
    run(READ, args.directory)
    reads, loads, peaks = [], [], []
    for _ in range(args.repeats):
        reads.append(run(READ, args.directory)[0])
        seconds, peak = run(LOAD, args.directory)
        loads.append(seconds)
        peaks.append(peak)
    read, load = statistics.median(reads), statistics.median(loads)
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "bytes": size,
        "read_s": round(read, 3),
        "load_s": round(load, 3),
        "load_over_read": round(load / read, 3),
        "peak_memory_over_size": round(max(peaks) / size, 3),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
