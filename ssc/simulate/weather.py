"""Kinds of days: which clouds, how much haze and wind, snow, ice, and whether the swath covers the tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ssc.simulate.clouds import Layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """What the day is like."""

    name: str
    layers: tuple[Layer, ...] = ()
    haze: float = 0.15
    """Residual aerosol after correction, 0 none ... 1 smoke."""
    wind_m_s: float = 2.0
    snowline_m: float = 1e6
    """Snow lies above this height."""
    ice: float = 0.0
    """How far the rivers are frozen, 0 open ... 1 closed; narrow ones freeze first."""
    covered: float = 1.0
    """Share of the tile that the swath covers; its edge slants like an orbit track."""


_CUMULUS: Final = Layer(cover=0.12, base_m=1300, depth_m=900, density=8, size_px=130, exponent=3.8)
_VEIL: Final = Layer(cover=0.45, base_m=9000, depth_m=800, density=0.35, size_px=500, exponent=3.4, ice=True)

CLEAR: Final = Weather(name="clear")
SCATTERED: Final = Weather(name="scattered", layers=(_CUMULUS,), haze=0.3, wind_m_s=3.0)
BROKEN: Final = Weather(
    name="broken",
    layers=(Layer(cover=0.35, base_m=1600, depth_m=1500, density=7, size_px=220, exponent=3.7), _VEIL),
    haze=0.35,
    wind_m_s=4.0,
)
OVERCAST: Final = Weather(
    name="overcast",
    layers=(Layer(cover=0.85, base_m=1500, depth_m=700, density=5, size_px=400, exponent=3.4),),
    haze=0.3,
    wind_m_s=4.0,
)
HAZY: Final = Weather(name="hazy", layers=(_VEIL,), haze=0.9, wind_m_s=1.0)
WINTER: Final = Weather(
    name="winter",
    layers=(Layer(cover=0.06, base_m=1800, depth_m=500, density=5, size_px=150, exponent=3.8),),
    haze=0.05,
    snowline_m=950.0,
    ice=0.45,
)
SWATH_EDGE: Final = Weather(name="swath edge", layers=(_CUMULUS,), haze=0.2, covered=0.62)

PROGRAMME: Final = (SCATTERED, CLEAR, OVERCAST, HAZY, SWATH_EDGE, BROKEN, CLEAR, SCATTERED)
"""Kinds of days in turn; the day nearest to midwinter is WINTER instead."""
