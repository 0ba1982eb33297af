"""What is published about each of the nine networks: sizes they take, thresholds, scores, seconds.

Sources: Daroya et al., "Improving Satellite Imagery Masking using Multi-task and Transfer Learning", IEEE JSTARS 2025,
DOI 10.1109/JSTARS.2025.3551620; the first author's talk of 20 January 2025 (slides 22-24: the tables of the preprint);
thresholds from the authors' feature scripts (github rangeldaroya/ssc-integration, 01_generate_feats_multitask_loop.py).
None means: not published in these sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ssc.errors import InputError

TASKS: Final = ("water_mask", "cloudshadow_mask", "cloud_mask", "snowice_mask", "sun_mask")
"""Order of heads, thresholds and outputs. 1 = the thing named is there, in `sun_mask` 1 = sunlit (0 = shadow)."""
CHANNELS: Final = 6
"""Blue, green, red, narrow NIR, SWIR1, SWIR2, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Heights and widths, in pixels, that a network takes."""

    least: int = 32
    multiple: int = 1
    most: int | None = None
    """None = no limit but memory."""

    def takes(self, pixels: int) -> bool:
        """True where a side of this length is taken."""
        return pixels >= self.least and pixels % self.multiple == 0 and (self.most is None or pixels <= self.most)

    def __str__(self) -> str:
        """As it stands in a message.

        >>> str(Sizes(least=16, multiple=16)), str(Sizes(least=512, most=512))
        ('multiples of 16 from 16 px', 'exactly 512 px')
        """
        if self.least == self.most:
            return f"exactly {self.least} px"
        step = "any size" if self.multiple == 1 else f"multiples of {self.multiple}"
        return f"{step} from {self.least} px" + (f" to {self.most} px" if self.most else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One network as published."""

    pretrained: str
    """What the authors started from: imagenet, satlas, prithvi or none."""
    sizes: Sizes
    parameters: int
    """All parameters, five heads included, as in the key lists."""
    thresholds: tuple[float, ...] | None
    """In the order of TASKS, for strict `>`; chosen by the authors on OPERA DSWx labels, in steps of 0.1.
    A sunlit threshold of 0.0 says that the network was no better than "all sunlit"."""
    water_f1: float | None
    """Percent, agreement with OPERA DSWx on its test set."""
    cloud_f1: float | None
    """Percent, LANA benchmark (Landsat, labelled by hand)."""
    shadow_f1: float | None
    """Percent, LANA benchmark."""
    clear_f1: float | None
    """Percent, LANA benchmark."""
    seconds: float | None
    """Authors' seconds for one in-situ sample (one 512 px crop) on a processor they do not name."""


ANY: Final = Sizes(least=16)
ONLY_512: Final = Sizes(least=512, most=512)

FACTS: Final = MappingProxyType(
    {
        "deeplabv3p": Facts(
            pretrained="imagenet",
            sizes=Sizes(least=16, multiple=16),
            parameters=22_447_893,
            thresholds=(0.3, 0.3, 0.4, 0.2, 0.4),
            water_f1=89.67,
            cloud_f1=92.64,
            shadow_f1=65.79,
            clear_f1=95.54,
            seconds=2.002,
        ),
        "mobilenetv3": Facts(
            pretrained="imagenet",
            sizes=ANY,
            parameters=1_221_946,
            thresholds=(0.3, 0.3, 0.5, 0.3, 0.4),
            water_f1=88.18,
            cloud_f1=93.70,
            shadow_f1=63.60,
            clear_f1=95.77,
            seconds=0.601,
        ),
        "segnet": Facts(
            pretrained="none",  # the paper says ImageNet, but no such weights exist and none are loaded
            sizes=Sizes(least=32, multiple=32),
            parameters=25_128_282,
            thresholds=(0.3, 0.3, 0.4, 0.4, 0.6),
            water_f1=83.47,
            cloud_f1=91.19,
            shadow_f1=57.64,
            clear_f1=95.19,
            seconds=2.259,
        ),
        "satlas_si_resnet50": Facts(
            pretrained="satlas",
            sizes=ANY,
            parameters=28_202_818,
            thresholds=(0.4, 0.3, 0.3, 0.5, 0.6),
            water_f1=81.33,
            cloud_f1=85.78,
            shadow_f1=63.67,
            clear_f1=92.77,
            seconds=7.209,
        ),
        "satlas_si_swint": Facts(
            pretrained="satlas",
            sizes=ANY,
            parameters=30_690_156,
            thresholds=(0.5, 0.3, 0.5, 0.4, 0.6),
            water_f1=91.10,
            cloud_f1=92.96,
            shadow_f1=69.56,
            clear_f1=95.80,
            seconds=6.260,
        ),
        "satlas_si_swinb": Facts(
            pretrained="satlas",
            sizes=ANY,
            parameters=90_330_874,
            thresholds=(0.5, 0.3, 0.5, 0.4, 0.5),
            water_f1=None,
            cloud_f1=None,
            shadow_f1=None,
            clear_f1=None,
            seconds=None,
        ),
        "swint": Facts(
            pretrained="imagenet",
            sizes=Sizes(least=72),  # its stem alone is 66 px wide
            parameters=31_505_067,
            thresholds=None,
            water_f1=80.73,
            cloud_f1=82.73,
            shadow_f1=4.32,
            clear_f1=92.49,
            seconds=1.254,
        ),
        "vitb16": Facts(
            pretrained="imagenet",
            sizes=ONLY_512,
            parameters=89_784_369,
            thresholds=(0.4, 0.2, 0.5, 0.3, 0.0),
            water_f1=82.56,
            cloud_f1=59.89,
            shadow_f1=0.01,
            clear_f1=88.16,
            seconds=2.450,
        ),
        "prithvi": Facts(
            pretrained="prithvi",
            sizes=ONLY_512,
            parameters=130_781_835,
            thresholds=(0.4, 0.2, 0.4, 0.3, 0.0),
            water_f1=76.61,
            cloud_f1=81.38,
            shadow_f1=6.94,
            clear_f1=91.52,
            seconds=3.493,
        ),
    }
)

NAMES: Final = tuple(FACTS)


def facts_of(name: str) -> Facts:
    """What is published about a network.

    Raises:
        InputError: No network has this name.
    """
    try:
        return FACTS[name]
    except KeyError:
        raise InputError(f"no published network {name!r}: known are {' '.join(NAMES)}") from None


def check_input(name: str, shape: tuple[int, ...]) -> None:
    """Refuse an input that the network would fail on, or answer wrongly, deep inside.

    Raises:
        InputError: Not (B, 6, H, W), or a height or width the network cannot take.
    """
    if len(shape) != 4 or shape[1] != CHANNELS:
        raise InputError(
            f"network {name}: found an input of shape {tuple(shape)}, wanted (B, {CHANNELS}, H, W)"
            " with blue green red nir swir1 swir2"
        )
    sizes = facts_of(name).sizes
    if not all(sizes.takes(side) for side in shape[2:]):
        raise InputError(f"network {name}: found {shape[2]}x{shape[3]} px, wanted {sizes} in height and width")
