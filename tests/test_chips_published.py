"""The published data set: files made in its format, read into chips; nothing in them is ever run."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.chip_writer import ChipWriter
from models.chips import ChipFolder
from models.packing import UNKNOWN
from ssc.bands import SIX, Product
from ssc.errors import DataError, InputError
from ssc.masks import Mask
from tasks.chips.pickled_text import texts_of
from tasks.chips.published import PublishedChips

SIDE = 24
CLUSTER = "/home/pi_someone/data/river/multitask_data_opera"
"""Six parts before the region, counting the empty one before the first slash."""
OVER = (Mask.CLOUD, Mask.CLOUD_SHADOW, Mask.SNOW_ICE)


def sample(seed: int = 0, side: int = SIDE) -> dict[str, np.ndarray]:
    """Arrays of one sample: random masks, some no data in single bands, all keys of the real files."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-200, 9000, (side, side, 6)).astype(np.int16)
    features[:3] = -9999
    features[5, 5, 3] = -9999
    thing = rng.integers(0, 4, (side, side))  # clear, cloud, shadow, snow: published masks exclude each other
    return {
        "features": features,
        "water_mask": ((rng.random((side, side)) < 0.5) & (thing == 0)).astype(np.int64),
        "cloud_mask": (thing == 1).astype(np.int64),
        "cloudshadow_mask": (thing == 2).astype(np.int64),
        "snowice_mask": (thing == 3).astype(np.int64),
        "sun_mask": (rng.random((side, side)) < 0.9).astype(np.int64),
        "fmask_data": rng.integers(0, 255, (side, side)).astype(np.uint8),
        "cirrus_mask": np.zeros((side, side), np.int64),
        "opera_sat": np.array("S2A"),
        "tile_id": np.array("T15SXR"),
        "date_str": np.array("20230907"),
        "mid_latlon": np.array([32.5, -91.0]),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As the authors did: an archive whose name says it is one array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez(file, **arrays)


def data_set(
    root: Path, samples: dict[str, dict[str, np.ndarray]], split: str = "train", *, dtype: object = str
) -> Path:
    for inner, arrays in samples.items():
        write(root / inner, arrays)
    write(root / f"{split}.npy", {"fps": np.array([f"{CLUSTER}/{inner}" for inner in samples], dtype=dtype)})
    return root


def one(tmp_path: Path, **changes: np.ndarray | None) -> PublishedChips:
    """A data set of one sample, with arrays changed or (None) left out."""
    arrays = {key: value for key, value in (sample() | changes).items() if value is not None}
    return PublishedChips(data_set(tmp_path, {"b069/a.npy": arrays}), "train")


# Chips


def test_labels_are_the_published_masks_but_for_sun_obscured_water_and_no_data(tmp_path):
    made = sample()
    chip = one(tmp_path)[0]
    for row in range(SIDE):
        for col in range(SIDE):
            value = {key: made[key][row, col] for key in made if key.endswith("_mask")}
            obscured = value["cloud_mask"] or value["cloudshadow_mask"] or value["snowice_mask"]
            wanted = [
                UNKNOWN if obscured else value["water_mask"],
                value["cloud_mask"],
                value["cloudshadow_mask"],
                value["snowice_mask"],
                1 - value["sun_mask"],
            ]
            if (made["features"][row, col] == -9999).any():
                wanted = [UNKNOWN] * 5
            assert chip.labels[:, row, col].tolist() == wanted, (row, col)


def test_reflectance_is_bands_first_without_unit_and_without_fill(tmp_path):
    made, chip = sample(), one(tmp_path)[0]
    assert chip.bands == SIX
    assert chip.reflectance.dtype == np.float32
    fill = made["features"].transpose(2, 0, 1) == -9999
    assert (np.isnan(chip.reflectance) == fill).all()
    wanted = made["features"].transpose(2, 0, 1)[~fill] / 10_000
    np.testing.assert_allclose(chip.reflectance[~fill], wanted, atol=1e-7)


@pytest.mark.parametrize("key", ["fmask_data", "fmask"])
def test_fmask_is_found_under_both_names(tmp_path, key):
    fmask = sample()["fmask_data"]
    chip = one(tmp_path, **({"fmask_data": None} | {key: fmask}))[0]
    assert (chip.fmask == fmask).all()


def test_a_sample_without_fmask_is_a_chip_without_fmask(tmp_path):
    assert one(tmp_path, fmask_data=None)[0].fmask is None


def test_unknown_stays_unknown(tmp_path):
    sun = sample()["sun_mask"]
    sun[10] = UNKNOWN
    assert (one(tmp_path, sun_mask=sun)[0].labels[Mask.TERRAIN_SHADOW, 10] == UNKNOWN).all()


@pytest.mark.parametrize(
    ("name", "satellite", "product"),
    [
        ("T15SXR_20230907_S2A", "nonsense", Product.S30),
        ("OPERA_L3_DSWx-HLS_T15SXR_20230907T163901Z_L8_30", "nonsense", Product.L30),
        ("T15SXR_20230907", "L8", Product.L30),
        ("0001", "S2B", Product.S30),
    ],
)
def test_product_is_that_of_the_satellite_named_by_file_or_sample(tmp_path, name, satellite, product):
    arrays = sample() | {"opera_sat": np.array(satellite)}
    chips = PublishedChips(data_set(tmp_path, {f"b100/{name}.npy": arrays}), "train")
    assert chips[0].product is product
    assert chips.index["product"].tolist() == [product.value]


def test_index_says_of_each_chip_what_the_chip_says(tmp_path):
    inner = [f"b{region:03d}/T{k}_S2A.npy" for region in (69, 70) for k in range(3)]
    chips = PublishedChips(data_set(tmp_path, {name: sample(k) for k, name in enumerate(inner)}, "val"), "val")
    assert len(chips) == len(chips.index) == 6
    for place, row in chips.index.iterrows():
        chip = chips[place]
        told = (chip.source, chip.product.value, chip.region, chip.scene, chip.simulated)
        assert told == (row["source"], row["product"], row["region"], row["scene"], row["simulated"])
    assert set(chips.index["region"]) == {"b069", "b070"}
    assert chips.index["scene"].is_unique
    assert set(chips.index["split"]) == {"val"}
    assert set(chips.index["source"]) == {"multitask-data-opera"}


def test_chips_go_through_a_folder_unchanged(tmp_path):
    chips = PublishedChips(data_set(tmp_path / "in", {f"b07{k}/x_L8.npy": sample(k) for k in range(3)}), "train")
    with ChipWriter(tmp_path / "out", size=SIDE) as out:
        for place in range(len(chips)):
            out.add(chips[place], split="train")
    folder = ChipFolder(tmp_path / "out")
    for place in range(3):
        np.testing.assert_array_equal(folder[place].labels, chips[place].labels)
        np.testing.assert_array_equal(folder[place].fmask, chips[place].fmask)
        np.testing.assert_allclose(folder[place].reflectance, chips[place].reflectance, atol=1e-6)
        assert folder[place].region == f"b07{place}"


def test_mended_labels_follow_the_bits_of_fmask(tmp_path):
    made = sample()
    data_set(tmp_path, {"b069/a_S2A.npy": made})
    plain, mended = (PublishedChips(tmp_path, "train", mend=mend)[0].labels for mend in (False, True))
    for row in range(3, SIDE):  # above there is no data
        for col in range(SIDE):
            if (row, col) == (5, 5):
                continue
            code = int(made["fmask_data"][row, col])
            cloud, ring, shadow, snow = (bool(code & 1 << bit) for bit in (1, 2, 3, 4))
            only_ring = ring and not shadow
            wanted = [int(cloud), UNKNOWN if only_ring else int(shadow), 1 if snow else UNKNOWN if only_ring else 0]
            assert mended[Mask.CLOUD : Mask.SNOW_ICE + 1, row, col].tolist() == wanted, code
            obscured = cloud or ring or shadow or snow
            assert mended[Mask.WATER, row, col] == (UNKNOWN if obscured else made["water_mask"][row, col])
    np.testing.assert_array_equal(mended[Mask.TERRAIN_SHADOW], plain[Mask.TERRAIN_SHADOW])
    assert (mended != plain).any()


def test_a_sample_without_fmask_cannot_be_mended(tmp_path):
    arrays = {key: value for key, value in sample().items() if key != "fmask_data"}
    chips = PublishedChips(data_set(tmp_path, {"b069/a.npy": arrays}), "train", mend=True)
    with pytest.raises(DataError, match=r"cannot mend .*a\.npy"):
        chips[0]


# Lists


@pytest.mark.parametrize("dtype", [str, object])
def test_lists_of_plain_and_of_pickled_texts_are_the_same(tmp_path, dtype):
    inner = [f"b{k:03d}/{k}.npy" for k in range(2500)]  # pickles come in batches of 1000
    write(tmp_path / "test.npy", {"fps": np.array([f"{CLUSTER}/{name}" for name in inner], dtype=dtype)})
    assert [str(path) for path in PublishedChips(tmp_path, "test").paths] == inner


@pytest.mark.parametrize(
    "prefix",
    [
        CLUSTER,
        "/gypsum/b99/deeper",  # a folder that looks like a region, but comes first
        "/data/b12/x/y/z",
        "/mnt/disk",
        "relative/place",
        "",
    ],
)
def test_whatever_comes_before_the_region_is_dropped(tmp_path, prefix):
    write(tmp_path / "train.npy", {"fps": np.array([f"{prefix}/b101/T15SXR_1.npy".lstrip("/")])})
    write(tmp_path / "val.npy", {"fps": np.array([f"{prefix}/b101/T15SXR_1.npy"])})
    for split in ("train", "val"):
        assert [str(path) for path in PublishedChips(tmp_path, split).paths] == ["b101/T15SXR_1.npy"]


def test_what_follows_the_sixth_slash_counts_first(tmp_path):
    """The sample lies deeper than the published layout: the part after the sixth slash is kept whole."""
    write(tmp_path / "train.npy", {"fps": np.array([f"{CLUSTER}/b101/b2/s.npy"])})
    assert str(PublishedChips(tmp_path, "train").paths[0]) == "b101/b2/s.npy"


@pytest.mark.parametrize("path", ["/a/b/c/d/e/f.npy", f"{CLUSTER}/b101/../../etc/x.npy", "", "b101"])
def test_paths_without_region_or_out_of_the_root_are_refused(tmp_path, path):
    write(tmp_path / "train.npy", {"fps": np.array([f"{CLUSTER}/b101/a.npy", path])})
    with pytest.raises(DataError, match=r"train.npy: found .*wanted .*b<number>"):
        PublishedChips(tmp_path, "train")


def test_no_such_split_or_list_is_wrong_use(tmp_path):
    with pytest.raises(InputError, match="'training': wanted one of train val test"):
        PublishedChips(tmp_path, "training")
    with pytest.raises(InputError, match=r"no such list: .*val.npy"):
        PublishedChips(tmp_path, "val")


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"paths": np.array(["a"])}, "found .*fps"),
        ({"fps": np.arange(3)}, r"found int64 \(3,\)"),
        ({"fps": np.array("one")}, r"found <U3 \(\)"),
        ({"fps": np.array([["a", "b"]], object)}, r"found object \(1, 2\)"),
        ({"fps": np.array([1, 2], object)}, "wanted a list of texts"),
        ({"fps": np.array(["a", None], object)}, "wanted a list of texts"),
        ({"fps": np.array([["a"], ["b", "c"]], object)}, "wanted a list of texts"),
        ({"fps": np.array([np.str_("a")], object)}, "convert it once: python -c"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(tmp_path, arrays, says):
    write(tmp_path / "train.npy", arrays)
    with pytest.raises(DataError, match=says) as failure:
        PublishedChips(tmp_path, "train")
    assert "train.npy" in str(failure.value)


@pytest.mark.parametrize("kept", [0, 1, 60, -40])
@pytest.mark.parametrize("dtype", [str, object])
def test_damaged_lists_are_told(tmp_path, kept, dtype):
    data_set(tmp_path, {"b069/a.npy": sample()}, dtype=dtype)
    path = tmp_path / "train.npy"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train\.npy"):
        PublishedChips(tmp_path, "train")


# Pickles


class Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class Called:
    """Unpickled, it would call something harmless looking."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def packed(path: Path, pickled: bytes, shape: tuple[int, ...] = (1,)) -> None:
    """A list file whose array of objects is this pickle."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fps.npy", header.getvalue() + pickled)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("place", ["alone", "first", "last", "in a list", "as a list", "beside an array"])
def test_a_pickle_that_runs_something_is_refused_and_does_not_run(tmp_path, protocol, place):
    mark = tmp_path / "ran"
    bomb = Bomb(mark)
    honest = np.array([f"{CLUSTER}/b069/a.npy"], object)
    things = {
        "alone": bomb,
        "first": np.array([bomb, *honest], object),
        "last": np.array([*honest, bomb], object),
        "in a list": np.array([*honest, [bomb]], object),
        "as a list": [bomb],
        "beside an array": (honest, bomb),
    }
    pickled = pickle.dumps(things[place], protocol=protocol)
    packed(tmp_path / "train.npy", pickled)
    with pytest.raises(DataError, match=r"train\.npy: found .*wanted"):
        PublishedChips(tmp_path, "train")
    assert not mark.exists()
    pickle.loads(pickled)
    assert mark.exists(), "the bomb is none: this test proves nothing"


@pytest.mark.parametrize(
    "thing",
    [
        ["b069/a.npy"],
        ("b069/a.npy",),
        "b069/a.npy",
        {"b069/a.npy": 1},
        np.array(["b069/a.npy"]),
        np.array([b"b069/a.npy"], object),
        Called(eval, "1"),
        Called(getattr, "b069", "join"),
        [Called(str, "b069/a.npy")],
    ],
)
@pytest.mark.parametrize("protocol", range(6))
def test_only_an_array_of_texts_is_taken(thing, protocol):
    with pytest.raises(DataError, match="wanted"):
        texts_of(pickle.dumps(thing, protocol=protocol), 1)


@pytest.mark.parametrize(
    "pickled",
    [
        b"cposix\nsystem\n(S'true'\ntR.",
        b"(S'true'\niposix\nsystem\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93]\x8c\x01aatb.",
        b"\x80\x02cposix\nsystem\n]X\x01\x00\x00\x00aatb.",
        b"\x80\x04]\x8c\x01aa\x8c\x04true\x85Rtb.",
        b"\x80\x04]\x8c\x01aatR.",
        b"\x80\x04]\x8c\x01aatb",
        b"\x80\x02]X\xff\xff\xff\x7fa",
        b"\x80\x04h\x05.",
        b"\x80\x04\x82\x01.",
        b"\x80\x04Pid\n.",
        b"",
    ],
)
def test_hand_written_pickles_are_refused(pickled):
    with pytest.raises(DataError, match="wanted"):
        texts_of(pickled, 1)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_list_of_another_length_than_the_header_says_is_refused(count):
    with pytest.raises(DataError, match=f"found 2 texts .*wanted {count}"):
        texts_of(pickle.dumps(np.array(["a", "b"], object)), count)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]))), protocol=st.integers(2, 5))
@example(texts=["a", "a", "b", "a"], protocol=4)
@example(texts=["numpy", "dtype", "O8", "_reconstruct", "b", "x" * 70_000], protocol=4)
@example(texts=[str(k) for k in range(2001)] * 2, protocol=3)
def test_every_array_of_texts_comes_back(texts, protocol):
    assert texts_of(pickle.dumps(np.array(texts, object), protocol=protocol), len(texts)) == texts


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")  # pickletools, on damaged text
@given(data=st.data())
def test_damaged_pickles_raise_nothing_but_data_errors(data):
    pickled = bytearray(pickle.dumps(np.array(["b069/a", "b070/b"], object), protocol=data.draw(st.integers(2, 5))))
    for _ in range(data.draw(st.integers(1, 3))):
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    del pickled[data.draw(st.integers(1, len(pickled))) :]
    try:
        texts = texts_of(bytes(pickled), 2)
    except DataError:
        return
    assert len(texts) == 2


# Samples


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"features": None}, "features: found none, but water_mask"),
        ({"sun_mask": None}, "sun_mask: found none"),
        ({"opera_sat": None}, "opera_sat: found none"),
        ({"opera_sat": np.array("Terra")}, "opera_sat: found 'Terra', wanted L8"),
        ({"features": np.zeros((6, SIDE, SIDE), np.int16)}, r"found int16 \(6, 24, 24\), wanted int16 \(H, W, 6\)"),
        ({"features": np.zeros((SIDE, SIDE, 6))}, "features: found float64"),
        (
            {"water_mask": np.zeros((SIDE, SIDE - 1), int)},
            r"water_mask: found int64 \(24, 23\), wanted integers \(24, 24",
        ),
        ({"cloud_mask": np.full((SIDE, SIDE), 2)}, r"cloud_mask: found values \[2\], wanted 0 and 1"),
        ({"snowice_mask": np.zeros((SIDE, SIDE))}, "snowice_mask: found float64"),
        ({"fmask_data": np.full((SIDE, SIDE), -1)}, "fmask_data: found values -1 to -1, wanted 0 to 255"),
        ({"fmask_data": np.zeros((SIDE, 3), np.uint8)}, r"fmask_data: found uint8 \(24, 3\)"),
    ],
)
def test_odd_samples_are_told_by_file_key_found_and_wanted(tmp_path, changes, says):
    chips = one(tmp_path, **changes)
    with pytest.raises(DataError, match=says) as failure:
        chips[0]
    assert "b069/a.npy" in str(failure.value)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_truncated_samples_are_told(tmp_path, share):
    chips = one(tmp_path)
    path = tmp_path / "b069/a.npy"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"b069/a\.npy"):
        chips[0]


def test_flipped_bytes_in_a_sample_are_told(tmp_path):
    chips = one(tmp_path)
    path = tmp_path / "b069/a.npy"
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF  # within features, by far the first and largest
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy: features: found damage"):
        chips[0]


def test_a_missing_sample_a_single_array_and_a_web_page_are_told(tmp_path):
    chips = one(tmp_path)
    path = tmp_path / "b069/a.npy"
    path.unlink()
    with pytest.raises(DataError, match=r"No such file.*wanted an \.npz"):
        chips[0]
    np.save(path, np.zeros(3))
    with pytest.raises(DataError, match=r"found a single array \(3,\)"):
        chips[0]
    path.write_text("<!doctype html>")
    with pytest.raises(DataError, match=r"a\.npy: found .*wanted an \.npz"):
        chips[0]


def test_a_pickle_in_a_sample_is_refused_and_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    arrays = sample() | {"water_mask": np.array([Bomb(mark)], object)}
    chips = PublishedChips(data_set(tmp_path, {"b069/a_S2A.npy": arrays}), "train")
    with pytest.raises(DataError, match=r"water_mask: found damage \(Object arrays"):
        chips[0]
    (tmp_path / "b069/a_S2A.npy").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DataError, match=r"a_S2A\.npy"):
        chips[0]
    assert not mark.exists()


def test_pickled_extras_do_no_harm(tmp_path):
    """The authors' cirrus_mask may be None, which NumPy pickles: it is never looked at."""
    assert one(tmp_path, cirrus_mask=np.array(None, object))[0].labels.shape == (5, SIDE, SIDE)
