"""The spectral layer against ordinary convolutions: for one list of bands it is one, and can start as one.

What "any sensor" means is proved in test_sensor_independence.py.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from models.bandtable import BandTable, table_of, without_empty
from models.scaling import PhysicalScaling
from models.spectral import STANDARD, SpectralScaling, SpectralStem
from ssc.bands import CODES, SIX, Band, Product, Response, Sensor, responses
from ssc.errors import InputError

OLI, MSI = (responses(sensor, SIX) for sensor in (Sensor.OLI, Sensor.MSI))
THIRTEEN = responses(Sensor.MSI, tuple(CODES[Product.S30]))
LIKE = {
    "halved": lambda: nn.Conv2d(7, 8, 3, stride=2, padding=1, bias=False),
    "biased": lambda: nn.Conv2d(7, 5, (5, 3), padding=(2, 1)),
    "dilated": lambda: nn.Conv2d(7, 5, 3, padding="same", dilation=2),
    "patches": lambda: nn.Conv2d(7, 24, 4, stride=4),
    "padded as in TensorFlow": lambda: Conv2dSame(7, 8, 3, stride=2, bias=False),
    "one time step": lambda: nn.Conv3d(7, 24, (1, 4, 4), stride=(1, 4, 4)),
}


def stem_like(shape: str = "halved", seed: int = 0) -> SpectralStem:
    torch.manual_seed(seed)
    return SpectralStem(LIKE[shape]())


def light(count: int, images: int = 1) -> torch.Tensor:
    """Reflectance with a corner where all bands are missing."""
    found = 0.5 * torch.rand(images, count, 13, 18, generator=torch.Generator().manual_seed(count))
    found[..., :4, :5] = torch.nan
    return found


def flat(x: torch.Tensor, like: nn.Module) -> torch.Tensor:
    return x.unsqueeze(2) if isinstance(like, nn.Conv3d) else x


def kernels(stem: SpectralStem, row: tuple[Response, ...]) -> torch.Tensor:
    """(out, n + 1, kh, kw): what a plain convolution of the standard number of bands would hold."""
    return stem.baked(table_of([row])).weight.detach()


# --- tables --------------------------------------------------------------------------------------------------------


def test_a_table_holds_logarithms_of_micrometres_and_the_level():
    table = table_of([responses(Sensor.OLI, (Band.GREEN, Band.CIRRUS)), responses(Sensor.MSI, (Band.NIR,))], places=3)
    wanted = [
        [[-0.273481, -0.250720, -0.229093, 1, 0], [0.134571, 0.137806, 0.141018, 0, 1], [0] * 5],
        [[-0.068440, -0.063135, -0.057893, 1, 0], [0] * 5, [0] * 5],
    ]
    torch.testing.assert_close(table.numbers, torch.tensor(wanted), rtol=0, atol=2e-6)
    assert table.present.tolist() == [[True, True, False], [True, False, False]]
    assert table.numbers.dtype == torch.float32


@pytest.mark.parametrize(("rows", "places"), [([], None), ([OLI], 5)])
def test_a_table_that_cannot_be_is_refused(rows, places):
    with pytest.raises(InputError, match="table of bands"):
        table_of(rows, places)


def test_places_that_nobody_fills_are_left_out():
    table = table_of([OLI[:2], OLI[:1]], places=4)
    table = BandTable(*(part.flip(1) for part in table))
    image, fewer = without_empty(light(4, images=2), table)
    assert torch.equal(image.nan_to_num(), light(4, images=2)[:, 2:].nan_to_num())
    assert fewer.present.tolist() == [[True, True], [False, True]]
    nothing = BandTable(torch.zeros(1, 4, 5), torch.zeros(1, 4, dtype=torch.bool))
    assert without_empty(light(4), nothing)[0].shape[1] == 1


# --- scaling -------------------------------------------------------------------------------------------------------


def test_six_valid_bands_are_scaled_as_always():
    assert torch.equal(SpectralScaling()(light(6), table_of([OLI])), PhysicalScaling()(light(6)))


def test_bands_are_weighted_by_how_many_there_are_at_the_pixel():
    image = torch.full((1, 4, 1, 3), 0.3)
    image[0, 1, 0, 1] = torch.inf
    image[0, :, 0, 2] = torch.nan
    image[0, 3] = 1e6
    scaled = math.asinh(0.3 / 0.05) - 1.6
    found = SpectralScaling()(image, table_of([OLI[:3]], places=4))[0, :, 0]
    wanted = [[2 * scaled, 3 * scaled, 0], [2 * scaled, 0, 0], [2 * scaled, 3 * scaled, 0], [0, 0, 0], [1, 1, 0]]
    torch.testing.assert_close(found, torch.tensor(wanted))


def test_a_table_of_other_images_is_refused():
    with pytest.raises(InputError, match="one row per image"):
        SpectralScaling()(light(6, images=2), table_of([OLI]))


# --- the layer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", LIKE)
@torch.no_grad()
def test_every_image_is_convolved_as_by_the_plain_layer_of_its_bands(shape):
    """Rows of different lengths, in places of any order, with gaps between them."""
    stem, rows = stem_like(shape), [THIRTEEN, OLI, MSI[:3]]
    image, table = light(14, images=3), table_of(rows, places=14)
    order = torch.randperm(14, generator=torch.Generator().manual_seed(1))
    mixed = BandTable(table.numbers[:, order], table.present[:, order])
    scaled = SpectralScaling()(image[:, order], mixed)
    stem.see(mixed)
    found = stem(flat(scaled, stem.conv))
    for index, row in enumerate(rows):
        plain = stem.baked(table_of([row]))
        assert type(plain) is type(LIKE[shape]())
        wanted = plain(flat(PhysicalScaling()(image[index : index + 1, : len(row)]), plain))
        assert wanted.std() > 0
        torch.testing.assert_close(found[index : index + 1], wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


@torch.no_grad()
def test_one_list_of_bands_serves_a_whole_batch():
    stem, scaled = stem_like(), SpectralScaling()(light(6, images=2), table_of([OLI, OLI]))
    answers = []
    for rows in ([OLI], [OLI, OLI]):
        stem.see(table_of(rows))
        answers.append(stem(scaled))
    assert torch.equal(*answers)


@torch.no_grad()
def test_what_a_band_means_depends_on_the_bands_beside_it():
    stem = stem_like()
    alone, among = kernels(stem, MSI[:1])[:, 0] / STANDARD, kernels(stem, MSI)[:, 0]
    assert (alone - among).norm() > 0.05 * among.norm()


@torch.no_grad()
def test_what_stands_in_an_empty_place_changes_not_a_bit():
    """Beside an image that fills it, so that attention cannot leave it out."""
    stem, answers = stem_like(), []
    scaled = SpectralScaling()(light(7, images=2), table_of([OLI, THIRTEEN[:7]]))
    for junk in (0.0, 1e6, torch.nan):
        table = table_of([OLI, THIRTEEN[:7]])
        table.numbers[0, 6] = junk
        stem.see(table)
        answers.append(stem(scaled))
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])


@pytest.mark.parametrize("rows", [[OLI, OLI], [OLI, MSI]])
def test_half_precision_and_channels_last_give_the_same(rows):
    """In half precision by a hundredth; wavelengths are read in full, or neighbours could not be told apart."""
    stem, table = stem_like(), table_of(rows)
    scaled = SpectralScaling()(light(6, images=2), table)
    stem.see(table)
    wanted = stem(scaled)
    stem = stem.to(memory_format=torch.channels_last)
    stem.see(table)
    last = stem(scaled.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, wanted, rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        stem.see(table)
        half = stem(scaled)
    assert half.dtype == torch.bfloat16
    assert (half.float() - wanted).abs().max() < 0.02 * wanted.abs().max()


def test_bands_are_seen_once_and_fit():
    stem, scaled = stem_like(), SpectralScaling()(light(6), table_of([OLI]))
    with pytest.raises(InputError, match="wanted see"):
        stem(scaled)
    stem.see(table_of([OLI]))
    stem(scaled)
    with pytest.raises(InputError, match="wanted see"):
        stem(scaled)
    for table in (table_of([OLI[:5]]), table_of([OLI, MSI]), table_of([OLI], places=7)):
        stem.see(table)
        with pytest.raises(InputError, match="one row per image"):
            stem(scaled)


def test_a_seed_decides_and_a_copy_can_be_made_of_a_trained_layer():
    one, other = stem_like(seed=3), stem_like(seed=3)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    assert not torch.equal(one.head.weight, stem_like(seed=4).head.weight)
    one.see(table_of([OLI]))
    one(SpectralScaling()(light(6), table_of([OLI]))).sum().backward()
    assert torch.equal(kernels(copy.deepcopy(one), MSI), kernels(one, MSI))


@torch.no_grad()
def test_random_kernels_are_as_large_as_those_they_replace():
    like = nn.Conv2d(7, 32, 3)
    found = kernels(SpectralStem(like), MSI)
    assert 0.5 < float(found[:, :-1].std() / like.weight.std()) < 2
    assert torch.equal(found[:, -1], like.weight[:, -1])


@pytest.mark.parametrize("like", [nn.Conv2d(8, 8, 3, groups=2), nn.Conv3d(7, 8, (2, 3, 3))])
def test_convolutions_it_cannot_replace_are_refused(like):
    with pytest.raises(InputError, match="wanted one group"):
        SpectralStem(like)


@pytest.mark.parametrize("table", [table_of([OLI, MSI]), table_of([()], places=2)])
def test_only_one_list_of_bands_can_be_baked(table):
    with pytest.raises(InputError, match="bands to bake"):
        stem_like().baked(table)


# --- warm start ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["halved", "biased", "one time step"])
def test_a_warm_start_is_the_convolution_for_both_sensors_at_once(shape):
    stem, conv = stem_like(shape), LIKE[shape]()
    stem.warm_start(conv, [table_of([OLI]), table_of([MSI])])
    for row in (OLI, MSI):
        plain = stem.baked(table_of([row]))
        torch.testing.assert_close(plain.weight, conv.weight, rtol=0, atol=1e-5)
        assert conv.bias is None or torch.equal(plain.bias, conv.bias)


def test_a_warm_start_for_fewer_bands_counts_their_number():
    stem, conv = stem_like("dilated"), nn.Conv2d(4, 5, 3, padding="same", dilation=2)
    stem.warm_start(conv, [table_of([MSI[:3]])])
    torch.testing.assert_close(stem.baked(table_of([MSI[:3]])).weight, conv.weight, rtol=0, atol=1e-5)


@torch.no_grad()
def test_bands_never_seen_start_between_their_neighbours():
    """Thermal Mapper and the red edge: not much larger than what was given, and not far from the same band."""
    stem, conv = stem_like(), LIKE["halved"]()
    stem.warm_start(conv, [table_of([OLI]), table_of([MSI])])
    assert float(kernels(stem, THIRTEEN)[:, :-1].std() * 13 / STANDARD) < 2 * float(conv.weight.std())
    mapper = kernels(stem, responses(Sensor.TM, SIX)) - conv.weight
    assert float(mapper.norm() / conv.weight.norm()) < 0.7


def test_a_layer_started_warm_still_learns():
    """To answer as another convolution does, for both sensors; every part of it moves."""
    stem, conv = stem_like(), LIKE["halved"]()
    stem.warm_start(conv, [table_of([OLI]), table_of([MSI])])
    torch.manual_seed(2)
    table, goal = table_of([OLI, MSI]), LIKE["halved"]()
    scaled = SpectralScaling()(light(6, images=2), table)
    optimiser = torch.optim.Adam(stem.parameters(), lr=1e-3)
    before = {name: value.clone() for name, value in stem.state_dict().items()}
    losses = []
    for _ in range(60):
        stem.see(table)
        loss = (stem(scaled) - goal(scaled).detach()).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert max(losses) < 1.5 * losses[0]
    assert losses[-1] < 0.1 * losses[0]
    assert not [name for name, value in stem.state_dict().items() if torch.equal(value, before[name])]


@pytest.mark.parametrize(
    ("conv", "tables"),
    [
        (nn.Conv2d(7, 8, 5, bias=False), [table_of([OLI])]),
        (nn.Conv2d(7, 9, 3, bias=False), [table_of([OLI])]),
        (nn.Conv2d(7, 8, 3), [table_of([OLI])]),
        (nn.Conv2d(7, 8, 3, bias=False), []),
        (nn.Conv2d(7, 8, 3, bias=False), [table_of([OLI[:5]])]),
        (nn.Conv2d(7, 8, 3, bias=False), [table_of([OLI, MSI])]),
        (nn.Conv2d(7, 8, 3, bias=False), [table_of([OLI[:5]], places=6)]),
        (nn.Conv2d(7, 8, 3, bias=False), [table_of([OLI])] * 11),
    ],
)
def test_a_start_that_does_not_fit_is_refused(conv, tables):
    with pytest.raises(InputError, match="warm start"):
        stem_like().warm_start(conv, tables)
