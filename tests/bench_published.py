"""How much faster the rebuilt published networks are than the plain ones, in one process, by turns.

    python -m tests.bench_published [NAME ...] [--runs 5] [--size 512]

One JSON line per network. Wall seconds depend on the machine and its load; the ratio of medians of alternating runs is
what can be compared, and the ratio of processor seconds is steadier still where others use the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch

from models.published import NAMES, TASKS, build
from models.published.fused import fuse

SEED = 1


def clocked(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - processor


@torch.inference_mode()
def measure(name: str, runs: int = 5, size: int = 512) -> dict[str, object]:
    """Median seconds of plain and fused, by turns after one warm-up each, and the largest difference of probability."""
    torch.manual_seed(SEED)
    plain = build(name).eval()
    fused = fuse(plain)
    x = torch.rand(1, 6, size, size)
    maps = plain(x)
    difference = (torch.cat([maps[task] for task in TASKS], dim=1) - fused(x)).abs().max().item()
    by_turns = [(clocked(lambda: plain(x)), clocked(lambda: fused(x))) for _ in range(runs)]
    (plain_wall, plain_cpu), (fused_wall, fused_cpu) = (
        tuple(median(times) for times in zip(*(turn[which] for turn in by_turns), strict=True)) for which in (0, 1)
    )
    return {
        "network": name,
        "size": size,
        "threads": torch.get_num_threads(),
        "plain_s": round(plain_wall, 3),
        "fused_s": round(fused_wall, 3),
        "ratio": round(plain_wall / fused_wall, 2),
        "processor_ratio": round(plain_cpu / fused_cpu, 2),
        "largest_difference": float(f"{difference:.1e}"),
    }


def main() -> None:
    """Print one line per network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {' '.join(NAMES)}; all when none is given")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    for name in options.names or NAMES:
        print(json.dumps(measure(name, options.runs, options.size)), flush=True)


if __name__ == "__main__":
    main()
