"""Scenes whose truth is known: simulated river basins written as HLS v2.0 granules. Everything here is labelled so."""

from ssc.simulate.basin import Basin, simulate_basin

__all__ = ["Basin", "simulate_basin"]
