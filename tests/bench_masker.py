"""How long maskers take for a full tile and for the river corridors on it, against the published way.

    python -m tests.bench_masker --out build/bench_masker.json

Two networks, the shipped default and the published DeepLabv3+ (random weights: time does not depend on them), are timed
on a whole tile, on the windows that the corridors of 20 reaches need, and the production way: one 512 px chip for every
200 m node of those reaches, measured on a few chips and multiplied. Each figure comes from a fresh process, so that
peak memory is its own. Reaches are those of the simulated tile of `tests.bench`; reflectance is synthetic (noise over
land with a river), for networks take the same time for any pixels. Ratios of one run can be compared; seconds depend on
machine and load.
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
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ssc.bands import SIX
from ssc.observation import Window
from tests.bench import REACHES, bench_corridor

PIXELS = 3660
"""Rows and columns of an HLS tile."""
BLOCK = (256, 256)
"""Of HLS files."""
HALO = 64
"""Pixels round a corridor window; that of both networks' cards."""
PASSES = 9
"""Chips measured of all that production would run."""
CHIP = 512
BAKED_PASSES = 60
"""Chips by the network for any bands, baked, and as many by the one for six, in turns."""
BACKBONE = "deeplabv3p"
"""The network of the quickstart and of production."""
MASKER = "default"


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
        halo=HALO,
        window=CHIP,
        licence="none",
    )
    write_weights(folder, card, build(BACKBONE).state_dict())
    return folder / f"{card.name}.json"


def measure_windows(masker: str, windows: list[Window], device: str) -> dict[str, Any]:
    """Seconds for some windows of a tile after a warm-up of one chip, and the peak memory of this process."""
    from models.masker import load_masker

    loaded = load_masker(masker, device=device)
    reflectance = tile(PIXELS)
    before = peak_gb()
    loaded(reflectance[:, :CHIP, :CHIP], bands=SIX)
    started = time.perf_counter()
    for window in windows:
        loaded(reflectance[:, *window.slices], bands=SIX, origin=(window.row, window.col))
    found = {"seconds": time.perf_counter() - started, "windows": len(windows)}
    found["share_of_tile"] = sum(window.height * window.width for window in windows) / PIXELS**2
    return found | {"peak_gb": peak_gb(), "peak_gb_before_masking": before, "bf16": loaded.network.is_bf16}


def measure_chips(masker: str | None, device: str) -> dict[str, Any]:
    """Median seconds of one chip the production way; None: as published, normalise and run the unfused network."""
    chip = tile(CHIP)
    one = _published_pass(chip, device) if masker is None else _pass(masker, chip, device)
    one()
    times = []
    for _ in range(PASSES):
        started = time.perf_counter()
        one()
        times.append(time.perf_counter() - started)
    return {"seconds_per_chip": median(times), "chips_measured": PASSES}


def _pass(masker: str, chip: NDArray[np.float32], device: str) -> Callable[[], object]:
    from models.masker import load_masker

    loaded = load_masker(masker, device=device)
    return lambda: loaded(chip, bands=SIX)


def _published_pass(chip: NDArray[np.float32], device: str) -> Callable[[], object]:
    import torch

    from models.published import build
    from models.published.preparation import prepare_crop

    torch.manual_seed(0)
    network = build(BACKBONE).eval().to(device)
    stored = np.rint(chip.transpose(1, 2, 0) * 10_000).astype(np.int16)

    def one() -> None:
        with torch.inference_mode():
            found = network(torch.from_numpy(prepare_crop(stored))[None].to(device))
            {task: layer.cpu().numpy() > 0.5 for task, layer in found.items()}

    return one


def measure_baked(device: str) -> dict[str, Any]:
    """Median seconds of a chip by a network for six bands and by one for any bands, baked for these six; in turns.

    The ratio is the median over the turns: both run the same layers, and what disturbs a turn mostly disturbs both.

    Random weights: both have the same layers once the kernels of the bands are written in, so they take the same time.
    """
    import torch

    from models.multitask import NetworkConfig, bake, build_network
    from ssc.bands import Band, responses

    torch.manual_seed(0)
    chip = torch.from_numpy(tile(CHIP))[None].to(device)
    six = build_network(NetworkConfig()).eval()
    baked = bake(build_network(NetworkConfig(stem="spectral", bands=tuple(Band))).eval(), responses(None, SIX), SIX)
    networks = {"six bands": six.to(device), "any bands, baked": baked.eval().to(device)}
    times: dict[str, list[float]] = {name: [] for name in networks}
    with torch.inference_mode():
        for turn in range(BAKED_PASSES + 2):
            for name, network in sorted(networks.items(), reverse=turn % 2 == 1):
                started = time.perf_counter()
                network(chip).cpu()
                if turn >= 2:
                    times[name].append(time.perf_counter() - started)
    ratio = median(one / other for one, other in zip(times["any bands, baked"], times["six bands"], strict=True))
    seconds = {name: {"seconds": median(found), "passes": len(found)} for name, found in times.items()}
    return seconds | {"ratio": ratio}


def peak_gb() -> float:
    """Largest resident memory of this process so far, 10^9 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def apart(what: str, masker: str | None, windows: list[Window], device: str) -> dict[str, Any]:
    """What a fresh process measures."""
    places = [[window.row, window.col, window.height, window.width] for window in windows]
    asked = json.dumps({"what": what, "masker": masker, "windows": places, "device": device})
    command = [sys.executable, "-m", "tests.bench_masker", "--one", asked]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """In the fresh process."""
    if asked["what"] == "baked":
        return measure_baked(asked["device"])
    if asked["what"] == "chips":
        return measure_chips(asked["masker"], asked["device"])
    names = ("row", "col", "height", "width")
    windows = [Window(**dict(zip(names, place, strict=True))) for place in asked["windows"]]
    return measure_windows(asked["masker"], windows, asked["device"])


def compare(basin: Path, device: str) -> dict[str, Any]:
    """All figures of one run and their ratios."""
    corridor = bench_corridor(basin)
    whole = [Window.whole((PIXELS, PIXELS))]
    needed = [core.padded(HALO, (PIXELS, PIXELS)) for core in corridor.windows(BLOCK, HALO)]
    nodes = int(corridor.node_ids.size)
    found: dict[str, Any] = {
        "synthetic": True,
        "reaches": REACHES,
        "nodes": nodes,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, device {device}",
        "seconds": {},
        "ratios": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        published = str(write_published(Path(folder)))
        for name, masker, chip in ((MASKER, MASKER, MASKER), (BACKBONE, published, None)):
            tile_, corridor_ = (apart("windows", masker, some, device) for some in (whole, needed))
            nodes_ = apart("chips", chip, [], device)
            production = nodes_["seconds_per_chip"] * nodes
            found["seconds"] |= {
                f"{name}, whole tile": tile_,
                f"{name}, corridor windows": corridor_,
                f"{name}, a chip per node": nodes_ | {"seconds": production, "extrapolated": True},
            }
            found["ratios"] |= {
                f"{name}: chip per node / whole tile": production / tile_["seconds"],
                f"{name}: chip per node / corridor windows": production / corridor_["seconds"],
            }
    baked = apart("baked", None, [], device)
    found["ratios"]["any bands, baked / six bands"] = baked.pop("ratio")
    found["seconds"] |= {f"a chip, {name}": figures for name, figures in baked.items()}
    seconds = {name: figures["seconds"] for name, figures in found["seconds"].items()}
    across = f"{BACKBONE}, a chip per node / {MASKER}, corridor windows"
    found["ratios"][across] = seconds[f"{BACKBONE}, a chip per node"] / seconds[f"{MASKER}, corridor windows"]
    return found


def show(found: dict[str, Any]) -> None:
    """The figures as two tables."""
    seconds = Table(title=f"seconds (synthetic tile, {found['reaches']} reaches, {found['nodes']} nodes)")
    for title in ("what", "seconds", "peak GB", "share of tile"):
        seconds.add_column(title, justify="left" if title == "what" else "right")
    for name, row in found["seconds"].items():
        peak, share = (f"{row[key]:.2f}" if key in row else "" for key in ("peak_gb", "share_of_tile"))
        seconds.add_row(name, f"{row['seconds']:.2f}", peak, share)
    ratios = Table("what", "ratio", title="ratios")
    for name, value in found["ratios"].items():
        ratios.add_row(name, f"{value:.3g}")
    Console().print(seconds, ratios)


def main() -> None:
    """Measure, print, save; with --one only what it asks for, as one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--basin", type=Path, default=Path("build/bench"), help="simulated tile; made if not there")
    parser.add_argument("--out", type=Path, default=Path("build/bench_masker.json"))
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(answer(asked.one)))
        return
    found = compare(asked.basin, asked.device)
    show(found)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
