"""How long a masker takes for a full tile, and how that compares with the published network and the published way.

    python -m tests.bench_masker --masker default --out build/bench_masker.json

Each figure comes from a fresh process, so that peak memory is its own. Input is synthetic reflectance (noise over land
with a river): networks take the same time for any pixels. Weights of the published network are random: they are not
ours to ship, and time does not depend on them. The production way, one 512 px chip per 200 m node, is measured on a few
chips and multiplied: 20 reaches of 50 nodes. Ratios of one run can be compared; seconds depend on machine and load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssc.bands import SIX, Product

PIXELS = 3660
"""Rows and columns of an HLS tile."""
REACHES, NODES = 20, 50
"""A tile's worth of river: SWORD reaches are about 10 km, their nodes 200 m apart."""
PASSES = 5
"""Chips measured of the REACHES x NODES that production would run."""
CHIP = 512
BACKBONE = "deeplabv3p"
"""The network of the quickstart and of production."""


def tile(pixels: int) -> NDArray[np.float32]:
    """(6, pixels, pixels) reflectance, made row by row, so that making it costs no memory to speak of."""
    rng = np.random.default_rng(7)
    land = np.array([0.05, 0.08, 0.07, 0.30, 0.20, 0.10], np.float32)[:, None]
    water = np.array([0.07, 0.10, 0.09, 0.04, 0.02, 0.01], np.float32)[:, None]
    reflectance = np.empty((len(SIX), pixels, pixels), np.float32)
    columns = np.arange(pixels)
    for row in range(pixels):
        is_river = np.abs(columns - pixels / 2 - 300 * np.sin(row / 200)) < 8
        reflectance[:, row] = np.where(is_river, water, land) + rng.normal(0, 0.01, (len(SIX), pixels))
    return reflectance


def write_published(folder: Path) -> Path:
    """A card of the published network with random weights."""
    import torch

    from models.cards import Card, write_weights
    from models.published import build
    from ssc.masks import Mask

    torch.manual_seed(0)
    card = Card(
        name=f"random-{BACKBONE}",
        description="Random weights, for time and memory only.",
        family="published",
        architecture={"backbone": BACKBONE},
        bands=SIX,
        scaling="published-crop",
        tasks=tuple(Mask),
        thresholds=dict.fromkeys(Mask, 0.5),
        halo=64,
        window=CHIP,
        licence="none",
    )
    write_weights(folder, card, build(BACKBONE).state_dict())
    return folder / f"{card.name}.json"


def measure_tile(masker: str, pixels: int, device: str) -> dict[str, Any]:
    """Seconds for one tile after a warm-up of one window, and the peak memory of this process."""
    from models.masker import load_masker

    loaded = load_masker(masker, device=device)
    reflectance = tile(pixels)
    before = peak_gb()
    loaded(reflectance[:, :CHIP, :CHIP], bands=SIX, product=Product.L30)
    started, busy = time.perf_counter(), time.process_time()
    loaded(reflectance, bands=SIX, product=Product.L30)
    found = {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - busy}
    return found | {"peak_gb": peak_gb(), "peak_gb_before_masking": before, "bf16": loaded.network.is_bf16}


def measure_chips(device: str) -> dict[str, Any]:
    """Seconds of one chip the production way: normalise, the unfused network, five probabilities."""
    import torch

    from models.published import build
    from models.published.preparation import prepare_crop

    torch.manual_seed(0)
    network = build(BACKBONE).eval().to(device)
    chip = np.rint(tile(CHIP).transpose(1, 2, 0) * 10_000).astype(np.int16)

    def one() -> None:
        with torch.inference_mode():
            found = network(torch.from_numpy(prepare_crop(chip))[None].to(device))
            {task: layer.cpu().numpy() > 0.5 for task, layer in found.items()}

    one()
    times = []
    for _ in range(PASSES):
        started = time.perf_counter()
        one()
        times.append(time.perf_counter() - started)
    return {"seconds_per_chip": float(np.median(times)), "chips_measured": PASSES, "peak_gb": peak_gb()}


def peak_gb() -> float:
    """Largest resident memory of this process so far, 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def apart(*arguments: str) -> dict[str, Any]:
    """What a fresh process measures."""
    command = [sys.executable, "-m", "tests.bench_masker", *arguments]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def compare(masker: str | None, pixels: int, device: str) -> dict[str, Any]:
    """All figures of one run and their ratios."""
    size = ("--pixels", str(pixels), "--device", device)
    with tempfile.TemporaryDirectory() as folder:
        published = apart("--one", str(write_published(Path(folder))), *size)
    chips = apart("--chips", *size)
    nodes = REACHES * NODES
    production = chips["seconds_per_chip"] * nodes
    found: dict[str, Any] = {
        "synthetic": True,
        "pixels": pixels,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, device {device}",
        f"{BACKBONE}, whole tile in windows of {CHIP}": published,
        f"{BACKBONE}, a chip per node": chips | {"nodes": nodes, "seconds_extrapolated": production},
        "ratios": {"chip per node / tile at once, same network": production / published["seconds"]},
    }
    if masker is not None:
        ours = apart("--one", masker, *size)
        found[f"{masker}, whole tile"] = ours
        found["ratios"] |= {
            f"{BACKBONE} tile at once / {masker} tile": published["seconds"] / ours["seconds"],
            f"{BACKBONE} chip per node / {masker} tile": production / ours["seconds"],
        }
    return found


def main() -> None:
    """Measure and print JSON; with --one or --chips only that, as one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--masker", help="name or card of a network; without it only the published one is measured")
    parser.add_argument("--pixels", type=int, default=PIXELS, help="rows and columns of the tile")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--chips", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measure_tile(asked.one, asked.pixels, asked.device)))
    elif asked.chips:
        print(json.dumps(measure_chips(asked.device)))
    else:
        text = json.dumps(compare(asked.masker, asked.pixels, asked.device), indent=2)
        print(text)
        if asked.out is not None:
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(text)


if __name__ == "__main__":
    main()
