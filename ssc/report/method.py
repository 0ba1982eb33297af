"""How the numbers come about, in a few sentences, and who said so first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A publication."""

    citation: str
    link: str


HLS: Final = Source(
    citation="Claverie et al. 2018, Remote Sensing of Environment 219, 145: Harmonized Landsat and Sentinel-2",
    link="https://doi.org/10.1016/j.rse.2018.09.002",
)
SWORD: Final = Source(
    citation="Altenau et al. 2021, Water Resources Research 57: the SWOT River Database (SWORD)",
    link="https://doi.org/10.1029/2021WR030054",
)
DSWX: Final = Source(
    citation="Jones 2019, Remote Sensing 11, 374: dynamic surface water extent, the rules behind OPERA DSWx-HLS",
    link="https://doi.org/10.3390/rs11040374",
)
NECHAD: Final = Source(
    citation="Nechad, Ruddick and Park 2010, Remote Sensing of Environment 114, 854: suspended matter from one band",
    link="https://doi.org/10.1016/j.rse.2009.11.022",
)
DOGLIOTTI: Final = Source(
    citation="Dogliotti et al. 2015, Remote Sensing of Environment 156, 157: turbidity from red and near infrared",
    link="https://doi.org/10.1016/j.rse.2014.09.020",
)
NOVOA: Final = Source(
    citation="Novoa et al. 2017, Remote Sensing 9, 61: switching from red to near infrared in turbid water",
    link="https://doi.org/10.3390/rs9010061",
)

_FMASK = "Cloud, cloud shadow, snow and ice are those of the Fmask layer that comes with each granule"
_RELIEF = "terrain shadow is cast from an elevation model where one was given"
MASKERS: Final = {
    "legacy-dswx": (
        f"Water is found by the spectral rules of OPERA DSWx-HLS. {_FMASK}; "
        "terrain shading is OPERA's slope rule on an elevation model where one was given."
    ),
    "legacy-fmask": f"Water is that of Fmask. {_FMASK}; {_RELIEF}.",
    "fmask": f"Water is that of Fmask. {_FMASK}. Terrain shadow is not looked for.",
    "mndwi": "Water is found by one index (MNDWI); nothing that hides water is looked for.",
}
REGRESSORS: Final = {
    "physical": (
        "SSC follows published optical formulas without any training: red reflectance in clear to moderately turbid "
        "water, near infrared in very turbid water (Novoa et al. 2017, on the formula of Nechad et al. 2010); "
        "turbidity follows Dogliotti et al. 2015."
    ),
    "nechad-red": "SSC follows the formula of Nechad et al. 2010 in the red band alone, without any training.",
}


def of_masker(name: str) -> str:
    """What the masker does."""
    return MASKERS.get(name, f"Water, cloud, cloud shadow, snow or ice and terrain shadow are told apart by “{name}”.")


def of_regressor(name: str) -> str:
    """What the regressor does."""
    return REGRESSORS.get(name, f"SSC is estimated from these medians by the regressor “{name}”.")


def is_untrained(regressor: str) -> bool:
    """True for the published formulas, whose intervals rest on assumptions."""
    return regressor in REGRESSORS


def sources(masker: str, regressor: str) -> list[Source]:
    """Publications behind the method."""
    water = [DSWX] if masker == "legacy-dswx" else []
    formulas = [NECHAD, DOGLIOTTI, NOVOA] if is_untrained(regressor) else []
    return [HLS, SWORD, *water, *formulas]
