"""Chips of simulated basins: every label known, wherever it can be seen.

Each basin (a seed) is one region: its landscape is seen on several days by different satellites under random skies, and
sometimes far more turbid than the simulator's rivers are by themselves, so that bright brown water is nothing strange.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.chips import Chip
from models.packing import UNKNOWN
from ssc.bands import CODES, SIX, Band
from ssc.masks import Mask
from ssc.simulate import Scene, light, observation, surface, truth
from ssc.simulate.memory import landscape
from ssc.simulate.overpass import overpass, sun_over
from ssc.simulate.scene import observe
from ssc.simulate.seeds import stream
from tasks.chips.planes import spread
from tasks.chips.rims import rimmed
from tasks.chips.skies import SOFT_SHARE, random_air, random_weather, softened

SOURCE: Final = "simulated"
TILES: Final = (
    "13TDM",
    "45RVM",
    "19HCC",
    "48PWV",
    "33NVE",
    "20LMQ",
    "35UQR",
    "52SCG",
    "06WVS",
    "15SXR",
    "38KNE",
    "55HBU",
)
"""Grids and suns of both hemispheres, 0 to 65 degrees of latitude."""
TEST_TILES: Final = ("11SKU", "36MZE", "21JVH", "43SGT", "58VDL")
"""Kept for tests: other suns, and with other seeds other terrain."""
LOWEST_SUN_DEG: Final = 76.0
"""HLS holds no scene with the sun lower (User Guide v2.0: zenith above 76 degrees is not processed)."""
HIDDEN: Final = 0.6
"""Where a cloud hides this share of the ground's signal, what lies below is UNKNOWN."""
AIR_SHARE: Final = 0.6
"""Share of passes with the colours of corrected images; the others have the simulator's own."""
LOADED_SHARE, MOST_TURBID_MG_L = 0.5, 5000.0
"""Share of passes in which the rivers carry another load than the simulator's own, and the most they may."""
LOW_SUN_SHARE, LOW_SUN_DEG = 0.4, 52.0
"""Share of passes for which a low sun is looked for (in vain near the equator): terrain shadow is rare otherwise."""
LEAST_VALID: Final = 0.05
"""A chip with data in a smaller share of its pixels is left out."""
_PLATFORMS: Final = ("L8", "L9", "S2A", "S2B")


def simulated_chips(
    seed: int,
    *,
    size: int = 256,
    land: int = 512,
    passes: int = 5,
    tiles: tuple[str, ...] = TILES,
    rims: bool = True,
    bands: tuple[Band, ...] = SIX,
) -> Iterator[Chip]:
    """Every chip of one basin.

    Args:
        seed: Of the basin; with the same arguments always the same chips.
        size: Pixels per side of a chip.
        land: Pixels per side of the landscape; chips are cut from it edge to edge.
        passes: Overpasses, each on another day under another sky.
        tiles: One is drawn; it sets the sun.
        rims: Of clouds and shadows, see `labels`.
        bands: Of the chips; NaN where the satellite has no such band. The same planes whatever others are asked for.
    """
    rng = stream(seed, "chips")
    tile = str(rng.choice(tiles))
    for number in range(passes):
        scene = random_scene(seed, land, tile, stream(seed, "chips", number))
        yield from cut(scene, size, region=f"basin {seed}", rims=rims, bands=bands)


def random_scene(seed: int, size: int, tile: str, rng: np.random.Generator) -> Scene:
    """One overpass of a basin on a random day of two years on which the sun stands high enough for HLS."""
    ground = landscape(seed=seed, size=size, tile=tile)
    passes = [overpass(tile, ground.geobox, day, str(rng.choice(_PLATFORMS)), seed) for day in _days(rng, 40)]
    suns = np.array([sun_over(ground.geobox, passing.sensed).zenith for passing in passes])
    wanted = LOW_SUN_DEG if rng.random() < LOW_SUN_SHARE and (suns > LOW_SUN_DEG).any() else 0.0
    chosen = np.flatnonzero((suns <= LOWEST_SUN_DEG) & (suns >= wanted))[0]
    scene = _loaded(_softened(observe(ground, passes[chosen], random_weather(rng)), rng), rng)
    return replace(scene, air=random_air(rng)) if rng.random() < AIR_SHARE else scene


def cut(scene: Scene, size: int, *, region: str, rims: bool = True, bands: tuple[Band, ...] = SIX) -> Iterator[Chip]:
    """The chips of one scene, edge to edge, those with hardly any data in the six bands left out."""
    product = scene.passing.product
    own = (*SIX, *(band for band in bands if band in CODES[product] and band not in SIX))
    seen, known, sediment = observation(scene, own), labels(scene, rims=rims), truth.ssc(scene)
    valid = np.isfinite(seen.reflectance[: len(SIX)]).all(axis=0) & (seen.fmask != UNKNOWN)
    rows, cols = scene.landscape.shape
    for row in range(0, rows - size + 1, size):
        for col in range(0, cols - size + 1, size):
            here = (slice(row, row + size), slice(col, col + size))
            if valid[here].mean() < LEAST_VALID:
                continue
            chip = Chip(
                bands=own,
                reflectance=seen.reflectance[:, *here],
                labels=known[:, *here],
                product=product,
                source=SOURCE,
                region=region,
                scene=f"{scene.passing.granule.name} of {region}",
                simulated=True,
                fmask=seen.fmask[here],
                ssc=sediment[here],
            )
            yield spread(chip, bands)


def labels(scene: Scene, *, rims: bool) -> NDArray[np.uint8]:
    """(5, H, W) labels: the truth, but UNKNOWN where it cannot be seen or there are no data.

    What lies under thick cloud is UNKNOWN; so is terrain shadow under any cloud or cloud shadow, which hides it, and
    cloud shadow in terrain shadow, where there is no sunlight that a cloud could take.
    With rims, clouds and their shadows end as `rims.rimmed` says, for training; without, to the pixel, for tests.
    """
    masks = truth.masks(scene)
    known = masks.stack.astype(np.uint8)
    hidden = scene.sky.opacity > HIDDEN
    if rims:
        known[Mask.CLOUD], known[Mask.CLOUD_SHADOW] = rimmed(masks[Mask.CLOUD], masks[Mask.CLOUD_SHADOW])
    known[np.ix_([Mask.WATER, Mask.SNOW_ICE])] = np.where(hidden, UNKNOWN, known[[Mask.WATER, Mask.SNOW_ICE]])
    unlit = masks[Mask.CLOUD] | masks[Mask.CLOUD_SHADOW]
    known[Mask.TERRAIN_SHADOW][unlit] = UNKNOWN
    known[Mask.CLOUD_SHADOW][masks[Mask.TERRAIN_SHADOW] & ~masks[Mask.CLOUD]] = UNKNOWN
    known[:, ~masks.valid] = UNKNOWN
    return known


def _days(rng: np.random.Generator, count: int) -> list[date]:
    return [date(2023, 1, 1) + timedelta(days=int(days)) for days in rng.integers(730, size=count)]


def _softened(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same scene under the softer sky, where it gets one."""
    if rng.random() > SOFT_SHARE:
        return scene
    sky = softened(scene.sky, rng)
    before = np.maximum(scene.sky.beam, np.float32(1e-6))
    return replace(scene, sky=sky, direct=np.clip(scene.direct / before * sky.beam, 0, light.BRIGHTEST))


def _loaded(scene: Scene, rng: np.random.Generator) -> Scene:
    """The same scene with another load in its rivers, one factor for all of them."""
    if rng.random() > LOADED_SHARE:
        return scene
    most = MOST_TURBID_MG_L / max(float(scene.load.ssc.max()), 1.0)
    factor = min(float(np.exp(rng.normal(1.2, 1.2))), most)
    load = replace(scene.load, mineral=scene.load.mineral * factor, organic=scene.load.organic * min(factor, 3.0))
    day = scene.passing.sensed.date().isoformat()
    return replace(scene, load=load, ground=surface.settle(scene.landscape, load, scene.weather, day))
