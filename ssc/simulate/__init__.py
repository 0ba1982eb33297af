"""Scenes whose truth is known: simulated river basins written as HLS v2.0 granules, everything labelled so.

    basin = simulate_basin("out", granules=6, seed=7, size=800)        files, as a pipeline meets them
    scene = simulate_scene(seed=7, size=256)                           one overpass in memory
    observation(scene), truth.masks(scene), truth.ssc(scene)           what a sensor sees, and what is there

What is modelled, from which sources and how far: docs/simulator.md.
"""

from ssc.simulate import truth, weather
from ssc.simulate.basin import Basin, simulate_basin
from ssc.simulate.memory import angle_grid, observation, simulate_scene
from ssc.simulate.scene import Scene

__all__ = ["Basin", "Scene", "angle_grid", "observation", "simulate_basin", "simulate_scene", "truth", "weather"]
