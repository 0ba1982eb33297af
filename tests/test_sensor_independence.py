"""What "any sensor" promises, proved for both first layers that keep it, each by itself and inside a whole network.

Ten proofs, each of a way in which published networks for any sensor have failed, or of something they never promised.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from models.bandtable import BandTable, table_of, without_empty
from models.multitask import NetworkConfig, build_network
from models.permutational import PermutationalStem
from models.scaling import CENTRE, KNEE, PhysicalScaling
from models.spectral import SpectralScaling, SpectralStem
from ssc.bands import CODES, SIX, Band, Product, Response, Sensor, responses

STEMS = {"spectral": SpectralStem, "permutational": PermutationalStem}
PARTS = [f"{stem} {part}" for stem in STEMS for part in ("layer", "network")]
SENSORS = {
    "L30-6": responses(Product.L30, SIX),
    "L30-8": responses(Product.L30, tuple(CODES[Product.L30])),
    "S30-6": responses(Product.S30, SIX),
    "S30-13": responses(Product.S30, tuple(CODES[Product.S30])),
    "ETM-6": responses(Sensor.ETM, SIX),
    "TM-6": responses(Sensor.TM, SIX),
}
FOURTEEN = (*SENSORS["S30-13"], SENSORS["TM-6"][3])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """A layer behind its scaling, or a network around one: images and what their bands see in, features or logits out.

    Both without the places that are empty in all images, as networks cut them out before anything else.
    """

    module: nn.Module
    whole: bool

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of bands to try."""
        return (1, 2, 6, 14) if self.whole else tuple(range(1, 15))

    def __call__(self, light: Tensor, table: BandTable) -> Tensor:
        if self.whole:
            return self.module(light, table)
        light, table = without_empty(light, table)
        self.module.see(table)
        return self.module(SpectralScaling()(light, table))


def part_of(name: str, *, bands: tuple[Band, ...] = tuple(Band), seed: int = 0) -> Part:
    torch.manual_seed(seed)
    stem, part = name.split()
    if part == "layer":
        like = nn.Conv2d(len(bands) + 1, 16, 3, stride=2, padding=1, bias=False)
        return Part(module=STEMS[stem](like), whole=False)
    network = build_network(tiny(stem, bands=bands)).eval()
    nn.init.normal_(network.heads.weight)  # logits of size one, so that what changes them shows
    return Part(module=network, whole=True)


def tiny(stem: str, **fields) -> NetworkConfig:
    return NetworkConfig(encoder="mobilenetv4_conv_small_050", width=8, detail=4, stem=stem, **fields)


@pytest.fixture(scope="module", params=PARTS)
def part(request) -> Part:
    return part_of(request.param)


@pytest.fixture(scope="module", params=STEMS)
def layer(request) -> Part:
    return part_of(f"{request.param} layer")


def ground(count: int, *, images: int = 1, size: int = 32, seed: int = 0) -> Tensor:
    """Reflectance of so many bands: a surface with one texture in all bands, and some of its own in each."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(images, 1, size, size, generator=generator)
    own = torch.randn(images, count, size, size, generator=generator)
    return (0.2 * (0.5 * shared + 0.5 * own).exp()).clamp(max=1)


@torch.no_grad()
def seen(part: Part, light: Tensor, *rows: Sequence[Response]) -> Tensor:
    return part(light, table_of(rows))


def change(found: Tensor, wanted: Tensor) -> float:
    """Root mean square of the difference, relative to how much the wanted varies."""
    return float((found - wanted).square().mean().sqrt() / wanted.std())


def test_1_order_means_nothing_and_descriptors_everything(part):
    for count in part.counts:
        light, row = ground(count), FOURTEEN[-count:]
        order = torch.randperm(count, generator=torch.Generator().manual_seed(count)).roll(1).tolist()
        wanted = seen(part, light, row)
        found = seen(part, light[:, order], [row[place] for place in order])
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
        if order != sorted(order):
            assert change(seen(part, light[:, order], row), wanted) > 0.001, count


def test_2_any_number_of_bands_forth_and_back(part):
    for count in part.counts:
        out = part(ground(count), table_of([FOURTEEN[:count]]))
        slopes = torch.autograd.grad(out.square().mean(), list(part.module.parameters()))
        assert out.isfinite().all()
        assert all(slope.isfinite().all() and slope.any() for slope in slopes)


@pytest.mark.parametrize("name", PARTS)
def test_3_one_checkpoint_for_every_sensor(name):
    """Made for six bands or for all, the weights are the same in number and shape: none belongs to a sensor."""
    one, other = part_of(name, bands=SIX), part_of(name, seed=1)
    other.module.load_state_dict(one.module.state_dict())
    for row in SENSORS.values():
        light = ground(len(row))
        out = seen(one, light, row)
        assert out.isfinite().all()
        assert torch.equal(seen(other, light, row), out)
    assert change(seen(one, ground(6), SENSORS["TM-6"]), seen(one, ground(6), SENSORS["S30-6"])) > 0.005


def test_4_spectra_of_equal_sum_are_two(part):
    """Red for blue: the same sum over the bands, which is all that a sum of convolutions sees."""
    light = ground(6)
    scaled = torch.asinh(light / KNEE) - CENTRE
    scaled[:, 0] += 0.5
    scaled[:, 2] -= 0.5
    tinted = KNEE * torch.sinh(scaled + CENTRE)
    assert change(seen(part, tinted, SENSORS["L30-6"]), seen(part, light, SENSORS["L30-6"])) > 0.005


@pytest.mark.parametrize("fill", [torch.nan, 1e6, -9999.0, torch.inf])
@torch.no_grad()
def test_5_a_missing_band_is_a_dropped_one(part, fill):
    """To the bit, whatever stands in its place."""
    light, table = ground(8), table_of([SENSORS["L30-8"]])
    kept = [0, 1, 3, 4, 6, 7]
    wanted = part(light[:, kept], BandTable(table.numbers[:, kept], table.present[:, kept]))
    light[:, [2, 5]] = fill
    table.present[:, [2, 5]] = False
    assert torch.equal(part(light, table), wanted)


@pytest.mark.parametrize("fill", [torch.nan, 1e6])
@torch.no_grad()
def test_5_a_missing_band_is_a_dropped_one_beside_an_image_that_has_it(part, fill):
    light, table = ground(8, images=2), table_of([SENSORS["L30-8"]] * 2)
    table.present[0, 2] = False
    table.numbers[0, 2] = light[0, 2] = fill
    kept = [0, 1, 3, 4, 5, 6, 7]
    alone = part(light[:1, kept], BandTable(table.numbers[:1, kept], table.present[:1, kept]))
    torch.testing.assert_close(part(light, table)[:1], alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


def test_5_nothing_is_read_where_there_is_no_data(part):
    """Pixels without a value, in some bands or all: to the bit the same for each way to say so, with finite slopes."""
    light, row = ground(6), SENSORS["S30-6"]
    hole = torch.rand(light.shape, generator=torch.Generator().manual_seed(4)) < 0.2
    hole[..., :9, :11] = True
    outs = [part(light.masked_fill(hole, fill), table_of([row])) for fill in (torch.nan, torch.inf, -torch.inf)]
    assert torch.equal(outs[0], outs[1])
    assert torch.equal(outs[0], outs[2])
    slopes = torch.autograd.grad(outs[0].square().mean(), list(part.module.parameters()))
    assert outs[0].isfinite().all()
    assert all(slope.isfinite().all() for slope in slopes)


@torch.no_grad()
def test_6_an_image_is_judged_alike_alone_and_beside_others(part):
    rows = [SENSORS[name] for name in ("S30-13", "TM-6", "L30-8")]
    light = ground(13, images=3)
    together = part(light, table_of(rows))
    for image, row in enumerate(rows):
        alone = seen(part, light[image : image + 1, : len(row)], row)
        torch.testing.assert_close(together[image : image + 1], alone, rtol=0, atol=1e-5 * float(alone.abs().max()))


def test_7_more_bands_are_not_more_signal(layer):
    """Root mean square within a factor of two from 3 to 13 bands; a plain sum over pairs grows twentyfold."""
    part = copy.deepcopy(layer)
    silent = "validity" if hasattr(part.module, "validity") else "plane.weight"
    nn.init.zeros_(part.module.get_parameter(silent))
    sizes = [float(seen(part, ground(count), FOURTEEN[:count]).square().mean().sqrt()) for count in range(3, 14)]
    assert max(sizes) < 2 * min(sizes)


def test_8_a_band_given_twice_changes_little_and_one_given_often_nothing(part):
    light, row = ground(6), SENSORS["L30-6"]
    wanted = seen(part, light, row)
    for band in range(6):
        twice = seen(part, torch.cat([light, light[:, band : band + 1]], dim=1), (*row, row[band]))
        assert change(twice, wanted) < 0.5
    once = seen(part, light[:, :1], row[:1])
    often = seen(part, light[:, :1].expand(-1, 9, -1, -1), row[:1] * 9)
    torch.testing.assert_close(often, once, rtol=0, atol=1e-5 * float(once.abs().max()))


def test_9_near_wavelengths_give_near_answers(part):
    """An error of 1 % in all of them; for near infrared that of another sensor, a broad one, a short one."""
    light, row = ground(6), SENSORS["S30-6"]
    wanted = seen(part, light, row)
    for factor in (0.99, 1.01):
        assert change(seen(part, light, [shifted(band, factor) for band in row]), wanted) < 0.1
    others = (SENSORS["L30-6"][3], responses(Product.S30, (Band.NIR_BROAD,))[0], row[5])
    near, broad, far = (change(seen(part, light, (*row[:3], other, *row[4:])), wanted) for other in others)
    assert near < 0.1
    assert near < broad < far


def shifted(band: Response, factor: float) -> Response:
    return replace(band, low_nm=band.low_nm * factor, centre_nm=band.centre_nm * factor, high_nm=band.high_nm * factor)


SHAPES = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 7, "stride": 2, "padding": 3, "bias": False},
    {"kernel_size": 4, "stride": 4},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stem", STEMS.values())
def test_10_a_layer_takes_the_place_of_a_convolution(stem, shape):
    like = nn.Conv2d(7, 5, **shape)
    for count in (3, 13):
        out = seen(Part(module=stem(like), whole=False), ground(count), FOURTEEN[:count])
        assert out.shape == like(torch.zeros(1, 7, 32, 32)).shape


@pytest.mark.parametrize("encoder", ["mobilenetv4_conv_small_050", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("stem", STEMS)
def test_10_the_rest_of_a_network_stays_as_it_is(stem, encoder):
    plain, free = (build_network(replace(tiny(kind), encoder=encoder, levels=4)) for kind in ("fixed", stem))
    shapes, found = ({name: value.shape for name, value in net.state_dict().items()} for net in (plain, free))
    firsts = {name for name, value in plain.named_modules() if isinstance(value, nn.Conv2d) and value.in_channels == 7}
    kept = {name: shape for name, shape in shapes.items() if name.rpartition(".")[0] not in firsts}
    assert len(firsts) == 2
    assert kept.items() <= found.items()
    assert all(name.startswith(tuple(firsts)) for name in found.keys() - kept.keys())
    assert free.eval()(ground(8), table_of([SENSORS["L30-8"]])).shape == (1, 5, 32, 32)


def test_10_for_bands_that_stay_a_spectral_layer_is_a_plain_convolution():
    """No layer of ours is left in it, so whatever exports or compiles a convolution does this one."""
    part = part_of("spectral layer")
    for row in SENSORS.values():
        plain = part.module.baked(table_of([row]))
        assert type(plain) is nn.Conv2d
        wanted = seen(part, ground(len(row)), row)
        found = plain(PhysicalScaling()(ground(len(row))))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
