"""The plan of the sensor experiment: what is trained on what, and how, so that nothing but the chips differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from models.chips import ChipFolder
from models.multitask import NetworkConfig
from models.recipe import Sensing
from models.trainsettings import TrainSettings
from ssc.bands import SIX, Band, Product
from tasks.experiments.sensor_chips import Basins

Views = Mapping[Product, tuple[str, ...]]
"""Folders that hold the chips of one product alone."""

BOTH: Final = "both"
TRAININGS: Final = {"S30": (Product.S30,), "L30": (Product.L30,), BOTH: (Product.L30, Product.S30)}
PERMUTATIONAL, FIXED = f"{BOTH}, published layer", f"{BOTH}, six bands only"
TWICE: Final = f"{BOTH}, twice the steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides the experiment."""

    chips: tuple[str, ...] = ()
    """Folders of chips with all bands, of both products; none: `basins` are simulated. Their split "test" is for tests;
    where there is none, the test basins are simulated."""
    basins: Basins = field(default_factory=Basins)
    river_chips: str | None = None
    """Folder of the real HLS L30 river chips, for a test on real water."""
    encoder: str = "mobilenetv4_conv_small_050"
    levels: int = 5
    width: int = 32
    detail: int = 16
    sensing: Sensing = field(default_factory=Sensing)
    """Random sensors in training."""
    steps: int = 1200
    """Of the optimiser, in each training; rounded to whole epochs."""
    epochs: int = 10
    """Each ends with a validation. More, and shorter ones, where the chips of one sensor are few."""
    batch_size: int = 12
    crop: int = 128
    lr: float = 2e-3
    ema: float = 0.99
    val_chips: int | None = 240
    permutational: bool = False
    """Train a network with the published layer on both sensors too; its cost grows with the square of the bands."""
    fixed: bool = False
    """Train a network for the six standard bands on both sensors too."""
    twice: bool = False
    """Train a network on both sensors with twice the steps too: it sees each sensor as often as the two on one do."""
    draws: int = 4
    """Random subsets of each number of bands."""
    fewest: int = 3
    """Bands in a subset."""
    sweep_chips: int = 96
    """Test chips of each sensor that are shown again and again, with fewer bands."""
    resamples: int = 1000
    """Of scenes, for the intervals."""
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    processes: int | None = None
    """That simulate basins; None: as many as there are processors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One network to train."""

    name: str
    """What it is trained on."""
    products: tuple[Product, ...]
    stem: str = "spectral"
    times: int = 1
    """Epochs, in those of the others."""

    @property
    def folder(self) -> str:
        """Name of its folder and of its masker."""
        return f"trained-on-{self.name.lower().replace(',', '').replace(' ', '-')}"


def trainings(plan: Plan) -> list[Training]:
    """The three, and what else was asked for."""
    three = [Training(name=name, products=products) for name, products in TRAININGS.items()]
    both = TRAININGS[BOTH]
    more = [Training(name=PERMUTATIONAL, products=both, stem="permutational")] * plan.permutational
    more += [Training(name=FIXED, products=both, stem="fixed")] * plan.fixed
    return three + more + [Training(name=TWICE, products=both, times=2)] * plan.twice


def settings_of(plan: Plan, training: Training, views: Views, out: Path) -> TrainSettings:
    """How a network is trained: alike for all of them but for the chips and the first layer."""
    epochs, steps = length(plan, views)
    fixed = training.stem == "fixed"
    return TrainSettings(
        chips=tuple(folder for product in training.products for folder in views[product]),
        out=str(out / "runs" / training.folder),
        network=NetworkConfig(
            encoder=plan.encoder,
            levels=plan.levels,
            width=plan.width,
            detail=plan.detail,
            bands=SIX if fixed else tuple(Band),
            stem=training.stem,
        ),
        epochs=epochs * training.times,
        steps_per_epoch=steps,
        batch_size=plan.batch_size,
        crop=plan.crop,
        lr=plan.lr,
        ema=plan.ema,
        val_chips=plan.val_chips,
        sensing=None if fixed else plan.sensing,
        balance=True,
        seed=plan.seed,
        device=plan.device,
        precision=plan.precision,
    )


def length(plan: Plan, views: Views) -> tuple[int, int]:
    """Epochs and steps in each, the same for every training: no more steps than the chips of each sensor fill."""
    chips = {product: sum(len(ChipFolder(view).split("train")) for view in some) for product, some in views.items()}
    filled = min(chips.values()) // plan.batch_size
    steps = max(min(plan.steps // plan.epochs, filled), 1)
    return max(round(plan.steps / steps), 1), steps
