"""Sediment flux of a reach: its SSC times the discharge nearest in time.

flux(store.query(), read_sos("na_sword_v16_SOS_results_unconstrained.nc").table)
"""

from __future__ import annotations

from ssc.flux.compute import METHOD, FluxQuality, flux, flux_interval, nearest_discharge
from ssc.flux.confluence import read_algorithm, read_consensus, read_sos
from ssc.flux.discharge import DISCHARGE, Reading
from ssc.flux.gauges import UNITS, read_gauges
from ssc.flux.output import write_flux
from ssc.flux.source import Kind, read_discharge

__all__ = [
    "DISCHARGE",
    "METHOD",
    "UNITS",
    "FluxQuality",
    "Kind",
    "Reading",
    "flux",
    "flux_interval",
    "nearest_discharge",
    "read_algorithm",
    "read_consensus",
    "read_discharge",
    "read_gauges",
    "read_sos",
    "write_flux",
]
