"""Toy training chips whose labels are simple rules of reflectance, and a network small enough for a test.

folder = toy_chips(tmp_path / "chips")           24 chips of 48 px, two sources, every sixth for validation
settings = toy_settings(folder, tmp_path / "run", epochs=2)
"""

from __future__ import annotations

import os

import numpy as np

from models.chip_writer import ChipWriter
from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import SIX, Product


def toy_chips(folder, count=24, size=48, seed=0, bands=SIX):
    """Patches of 8 px; water is brighter in green than in SWIR1, cloud bright in blue, shadow dark in NIR."""
    rng = np.random.default_rng(seed)
    with ChipWriter(folder, bands=bands, size=size, made_by="test") as out:
        for number in range(count):
            patches = rng.random((len(bands), size // 8, size // 8)).repeat(8, axis=1).repeat(8, axis=2)
            light = (0.02 + 0.4 * patches).astype(np.float32)
            labels = np.full((5, size, size), UNKNOWN, np.uint8)
            labels[0] = light[1] > light[4]
            labels[1] = light[0] > 0.25
            labels[2] = light[3] < 0.1
            labels[3] = UNKNOWN if number % 2 else (light[2] > 0.25) & (light[5] < 0.2)
            light[:, :4, :4] = np.nan
            labels[:, :4, :4] = UNKNOWN
            place = f"{number:03d}"
            chip = Chip(
                bands=bands,
                reflectance=light,
                labels=labels,
                product=Product.L30,
                source="odd" if number % 2 else "even",
                region=place,
                scene=place,
                simulated=True,
            )
            out.add(chip, split="val" if number % 6 >= 4 else "train")
    return folder


def toy_settings(folder, out, **changed):
    """fp32 on one CPU, a small encoder, 4 chips per step."""
    from models.multitask import NetworkConfig
    from models.trainsettings import TrainSettings

    network = {
        "encoder": "mobilenetv4_conv_small_050",
        "levels": 2,
        "width": 8,
        "detail": 8,
        **changed.pop("network", {}),
    }
    plain = {"epochs": 2, "batch_size": 4, "crop": 32, "lr": 3e-3, "precision": "fp32", "device": "cpu", "ema": 0.9}
    return TrainSettings(chips=(str(folder),), out=str(out), network=NetworkConfig(**network), **{**plain, **changed})


def train_quietly(**settings):
    """Train in one thread, as the target of a process that a test may kill."""
    import torch

    from models.train import train

    torch.set_num_threads(1)
    train(toy_settings(**settings))


def uneven_batch():
    """Logits and labels of four chips that know very different shares of their pixels."""
    import torch

    generator = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(4, 3, 12, 12, generator=generator)
    labels = (torch.rand(logits.shape, generator=generator) < 0.3).to(torch.uint8)
    for chip, task in ((0, 0), (1, 0), (2, 1), (3, 2)):
        labels[chip, task, :9] = UNKNOWN
    return logits, labels


def write_gradients(group, folder):
    """Losses and their gradients, as this process sees them for its part of `uneven_batch`."""
    import torch

    from models.checkpoint import save_state
    from models.losses import LOSSES

    logits, labels = (half.chunk(group.size)[group.rank] for half in uneven_batch())
    found = {}
    for name, loss_of in LOSSES.items():
        part = logits.clone().requires_grad_()
        losses = loss_of(part, labels, total=group.shared)
        (gradient,) = torch.autograd.grad(losses.sum(), part)
        found |= {name: losses, f"{name} gradient": gradient}
    save_state(folder / f"losses{group.rank}.safetensors", found, {})


def train_in_group(environment, settings, folder):
    """Train as one of the processes of torchrun, of whose variables it is told, and write this process's weights."""
    import torch

    from models.checkpoint import save_state
    from models.processes import joined
    from models.train import _Run

    os.environ.update(environment)
    torch.set_num_threads(1)
    with joined("cpu") as group:
        write_gradients(group, folder)
        run = _Run(toy_settings(**settings), group, torch.device("cpu"), lambda _: None)
        run.go()
        save_state(folder / f"rank{group.rank}.safetensors", run.model.state_dict(), {"processes": group.size})
