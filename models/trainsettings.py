"""What decides a training run, and what may be asked of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import torch

from models.augment import Augment
from models.losses import LOSSES
from models.multitask import NetworkConfig
from models.recipe import Sensing
from models.stems import StemKind
from ssc.errors import InputError

PRECISIONS: Final = ("auto", "fp32", "bf16")
MAY_CHANGE: Final = ("chips", "out", "device", "precision", "workers", "resume", "save_every")
"""Settings with which a run may go on otherwise than it began. Folders may have moved, not the index of their chips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """All that decides a training run."""

    chips: tuple[str, ...]
    """Folders written by `models.chip_writer.ChipWriter`."""
    out: str
    """Folder for weights, state and logs."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    pretrained: str | None = None
    """Weights the encoder begins with, as `models.multitask.build_network` knows them."""
    begin: str | None = None
    """Card of a masker that is trained further: of the same network, or of one for fixed bands, which a spectral one
    then begins as."""
    epochs: int = 50
    steps_per_epoch: int | None = None
    """At most so many steps in an epoch; None: as many as the chips fill."""
    batch_size: int = 16
    """Chips per step, over all processes."""
    crop: int = 256
    """Side of the training squares, pixels."""
    lr: float = 1e-3
    """Highest learning rate (AdamW)."""
    weight_decay: float = 0.01
    """Of weights with two or more dimensions; never of norms and biases."""
    warmup: float = 0.05
    """Share of all steps over which the learning rate rises; then it falls along a cosine."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.998
    """Decay per step of the running mean of the weights that is validated and kept; 0: the weights themselves."""
    loss: str = "balanced"
    """One of `models.losses.LOSSES`."""
    positive_weights: Mapping[str, float] = field(default_factory=dict)
    """Task (as `Mask.name`) to how much more a pixel counts where the thing is there; 1 where not named."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Source to how many times an epoch shows each of its chips; 1 where not named."""
    balance: bool = False
    """Show as many chips of Landsat as of Sentinel-2, where there are both."""
    augment: Augment = field(default_factory=Augment)
    sensing: Sensing | None = None
    """How a network for any bands sees chips by other sensors; None: each chip in all its bands."""
    val_chips: int | None = None
    """At most so many validation chips, the same part of each source; None: all."""
    seed: int = 0
    precision: str = "auto"
    """"fp32", "bf16", or "auto": bf16 where the processor multiplies it."""
    device: str = "auto"
    """"cuda", "cpu", or "auto"."""
    workers: int | None = None
    """Processes that prepare batches; None: 8 per GPU, none on a CPU."""
    save_every: int = 200
    """Steps between two saved states; one is saved after every epoch too."""
    resume: bool = True
    """Go on with the run that `out` holds; False: refuse if it holds one."""

    @property
    def any_bands(self) -> bool:
        """Whether the network takes chips of any bands."""
        return self.network.stem != StemKind.FIXED

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = asdict(self)
        plain["network"] = self.network.as_dict()
        return json.loads(json.dumps(plain))

    def lasting(self) -> dict[str, Any]:
        """Those that must stay the same from the beginning of a run to its end."""
        return {name: value for name, value in self.as_dict().items() if name not in MAY_CHANGE}


def learning_rate(step: int, steps: int, settings: TrainSettings) -> float:
    """Linear rise over the warm-up, then a cosine down to a hundredth.

    >>> settings = TrainSettings(chips=(), out="", lr=1.0, warmup=0.1)
    >>> [round(learning_rate(step, 100, settings), 3) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.505, 0.01]
    """
    rise = max(round(settings.warmup * steps), 1)
    if step < rise:
        return settings.lr * (step + 1) / rise
    way = (step - rise) / max(steps - rise, 1)
    return settings.lr * (0.01 + 0.99 * (1 + math.cos(math.pi * way)) / 2)


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to multiply in bf16: asked for, or "auto" and the processor does it in hardware.

    On a CPU that is AVX512-BF16 or AMX: there a step of the default network takes about half the time; elsewhere
    bf16 is emulated and slower than fp32.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def device_kind(asked: str) -> str:
    """What to compute on, cuda or cpu.

    Raises:
        InputError: Neither, or no GPU where one is wanted.
    """
    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked not in {"cuda", "cpu"}:
        raise InputError(f"device {asked!r}: wanted auto, cuda or cpu")
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda': found no GPU that torch can use, wanted one (or device 'cpu')")
    return asked


def check(settings: TrainSettings) -> None:
    """Refuse what cannot be before anything is read.

    Raises:
        InputError: A setting out of range.
    """
    wrong = [name for name in ("epochs", "batch_size", "crop", "save_every") if getattr(settings, name) < 1]
    if wrong:
        raise InputError(f"{wrong[0]} {getattr(settings, wrong[0])}: wanted 1 or more")
    if settings.loss not in LOSSES:
        raise InputError(f"no loss {settings.loss!r}: wanted one of {' '.join(LOSSES)}")
    if settings.precision not in PRECISIONS:
        raise InputError(f"precision {settings.precision!r}: wanted one of {' '.join(PRECISIONS)}")
    if not 0 <= settings.ema < 1 or not 0 <= settings.warmup <= 1:
        raise InputError(f"ema {settings.ema}, warmup {settings.warmup}: wanted 0 <= ema < 1 and 0 <= warmup <= 1")
    if settings.sensing is not None and not settings.any_bands:
        raise InputError("sensing for a network of fixed bands: wanted none, or a stem for any bands")
    if settings.begin is not None and settings.pretrained is not None:
        raise InputError(f"begin {settings.begin}, pretrained {settings.pretrained}: wanted one of them")
    strange = sorted(set(settings.positive_weights) - {task.name for task in settings.network.tasks})
    if strange:
        raise InputError(
            f"positive weight for {strange[0]}: wanted one of {' '.join(t.name for t in settings.network.tasks)}"
        )


def require_same(begun: Mapping[str, Any], asked: Mapping[str, Any], out: str) -> None:
    """A run goes on only as it began. What settings there were not yet when it began had their present defaults."""
    begun = {**TrainSettings(chips=(), out="").lasting(), **begun}
    for name in sorted({*begun, *asked}):
        if begun.get(name) != asked.get(name):
            found = f"the run in {out} began with {name} {begun.get(name)}, now {asked.get(name)}"
            raise InputError(f"{found}: wanted the same, or another folder")
