"""The page about a store: what it says is true, what it shows is escaped, and it needs nothing from outside."""

from __future__ import annotations

import base64
import io
import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from PIL import Image

from ssc.errors import DataError, InputError
from ssc.ledger import Entry
from ssc.quality import Quality
from ssc.report import write_report
from ssc.report.colours import LogScale, ramp
from ssc.report.coverage import calendar_of
from ssc.report.frames import COLUMNS, Frames
from ssc.report.page import render
from ssc.report.pictures import BUDGET, embed, share
from ssc.report.reachmap import map_of
from ssc.report.skill import INSITU_WITHIN, pair, read_observed, skills
from ssc.report.svg import LogAxis, TimeAxis, log_ticks
from ssc.report.words import flag_meanings
from ssc.results import open_store
from ssc.schema import arrow_schema
from tables import make_reaches, make_rows

IDS = (74299900011, 74299900021, 74299900031)
START = datetime(2024, 1, 10, 17, tzinfo=UTC)
EVIL = "<script>alert('x')</script>"
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Reads a page and complains when elements are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag, class_=""):
        return [a for t, a in self.elements if t == tag and set(class_.split()) <= set((a.get("class") or "").split())]


def granule_of(day, product="L30"):
    return f"HLS.{product}.T15SXR.{START + timedelta(days=day):%Y%jT%H%M%S}.v2.0"


def row(reach_id, day, ssc, product="L30", flags=0, **given):
    """One results row, as far as the report reads it."""
    return {
        "reach_id": reach_id,
        "time": pd.Timestamp(START + timedelta(days=day)),
        "platform": "L8" if product == "L30" else "S2A",
        "masker": "legacy-dswx",
        "regressor": "physical",
        "product": product,
        "granule_ids": [granule_of(day, product)],
        "ssc": ssc,
        "ssc_lo90": ssc / 3,
        "ssc_hi90": ssc * 3,
        "ssc_qual": flags,
        "ssc_quality": 0 if flags == 0 else 1,
        "sword_version": "v17b",
        "code_version": "0.1.0",
        "settings_hash": "0123456789abcdef",
    } | given


def entry(day, status="estimated", product="L30", reason="", **given):
    return {
        "granule_id": granule_of(day, product),
        "masker": "legacy-dswx",
        "regressor": "physical",
        "status": status,
        "reason": reason,
        "n_reaches": 3,
        "n_estimated": 2 if status == "estimated" else 0,
    } | given


SSC = {name for name in COLUMNS if name.startswith("ssc")}


def frames_of(rows=(), entries=(), reaches=None):
    """Tables of the types a store gives, also when empty."""
    types = {field.name: field.type.to_pandas_dtype() for field in arrow_schema() if field.name in SSC}
    types |= {"reach_id": "int64", "time": "datetime64[us, UTC]"}
    return Frames(
        rows=pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(types),
        ledger=pd.DataFrame(list(entries), columns=list(entry(0))).astype({"n_estimated": "int32"}),
        reaches=river() if reaches is None else reaches,
    )


def river(names=("Alder River", "Alder River", "")):
    """Three reaches from west to east."""
    lines = [shapely.LineString([(-91 + n / 10, 32), (-90.95 + n / 10, 32.02), (-90.9 + n / 10, 32)]) for n in range(3)]
    index = pd.Index(IDS, name="reach_id")
    return gpd.GeoDataFrame({"river_name": list(names)}, geometry=lines, crs="EPSG:4326", index=index)


def full():
    """Two reaches with estimates on four days, a third without; one granule of each other status."""
    ssc = {IDS[0]: (20, 40, 80, 160), IDS[1]: (200, 300, 400, 500)}
    rows = [
        row(reach_id, 30 * n, value, "S30" if n % 2 else "L30", int(Quality.NARROW) if n == 3 else 0)
        for reach_id, values in ssc.items()
        for n, value in enumerate(values)
    ]
    rows += [row(IDS[2], 30 * n, np.nan, "S30" if n % 2 else "L30", int(Quality.VERY_FEW)) for n in range(4)]
    entries = [entry(30 * n, product="S30" if n % 2 else "L30") for n in range(4)]
    entries += [
        entry(33, "cloudy"),
        entry(34, "no_water"),
        entry(35, "no_reach", n_reaches=0),
        entry(36, "set_aside", reason="DataError: truncated file: found 3 of 9 bytes, wanted 9", n_reaches=0),
    ]
    return frames_of(rows, entries)


def truth_of(rows, factor=1.0):
    return pd.DataFrame(
        {"reach_id": rows["reach_id"], "time": rows["time"] - pd.Timedelta(minutes=9), "ssc_mg_l": rows["ssc"] * factor}
    ).dropna()


@pytest.fixture(scope="module")
def page():
    frames = full()
    truth = truth_of(frames.rows, 0.5)
    return Page(render(frames, insitu=truth.iloc[:3], truth=truth, title="A river", simulated=True))


def test_numbers_of_the_store_are_on_the_page(page):
    assert "2024-01-10 to 2024-04-09 (UTC)" in page.text
    assert "reaches with an estimate 2 of 3" in page.text
    assert "SSC estimates 8" in page.text
    assert "median SSC 180 mg/L" in page.text
    assert "12 reach rows" in page.text
    assert "8 rows carry an SSC estimate, 6 of them without any quality flag" in page.text


def test_every_status_is_counted_and_failures_say_why(page):
    for status in ("cloudy", "no water", "no reach", "set aside"):
        assert re.search(rf"{status} 1 12 %", page.text), status
    assert "estimated 4 50 %" in page.text
    assert "of these 1 a file is missing, broken or not what it claims to be" in page.text
    assert "HLS.L30.T15SXR.2024046T170000.v2.0 DataError: truncated file: found 3 of 9 bytes" in page.text


def test_flags_are_defined_and_counted_over_estimates(page):
    assert "narrow 4 2 Reach narrower than 90 m" in page.text
    assert "very few 2 0 Fewer than 8" in page.text
    assert set(flag_meanings()) == set(Quality)
    assert flag_meanings()[Quality.TIDAL] == ("tidal", "SWORD lakeflag 3.")


def test_provenance_names_what_made_the_numbers(page):
    for words in ("Masker legacy-dswx", "Regressor physical", "SWORD version) v17b", "river-ssc 0.1.0", "L8, S2A"):
        assert words in page.text


def test_page_needs_nothing_from_outside(page):
    for tag, attributes in page.elements:
        assert tag not in {"script", "link", "iframe", "object", "embed"}
        assert not [name for name in attributes if name.startswith("on")]
        assert str(attributes.get("src", "data:")).startswith("data:")
        href = str(attributes.get("href", "#"))
        assert href.startswith("#") or (tag == "a" and href.startswith("https://doi.org/"))
    assert "url(" not in page.text


def test_page_is_accessible(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")} <= set(ids)
    assert len(page.all("caption")) == len(page.all("table")) > 5
    assert all("scope" in th for th in page.all("th"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.all("svg"))
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == 1


def test_simulated_data_are_labelled_first_thing(page):
    assert page.text.index("SIMULATED DATA") < page.text.index("Suspended sediment concentration")


@pytest.mark.parametrize("samples", ["insitu", "truth"])
def test_samples_that_say_they_are_simulated_label_the_page(samples):
    frames = full()
    plain = truth_of(frames.rows)
    assert "SIMULATED" not in render(frames, **{samples: plain})
    assert "SIMULATED DATA" in render(frames, **{samples: plain.assign(simulated=True)})


def test_rivers_of_the_simulator_label_the_page():
    reaches = river(names=("Alder River (simulated)", "", ""))
    assert "SIMULATED DATA" in render(frames_of([row(IDS[0], 0, 12.0)], [entry(0)], reaches))


def test_foreign_text_is_escaped_everywhere():
    rows = [row(IDS[0], 0, 50.0, platform=EVIL, sword_version=EVIL, masker=EVIL, regressor=EVIL)]
    evil = {"masker": EVIL, "regressor": EVIL}
    entries = [entry(0, **evil), entry(1, "set_aside", reason=EVIL, **evil) | {"granule_id": EVIL}]
    frames = frames_of(rows, entries, river(names=(EVIL, EVIL, EVIL)))
    text = render(frames, truth=truth_of(frames.rows), title=EVIL, facts={EVIL: EVIL})
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 10
    assert EVIL in Page(text).text


def test_same_store_gives_the_same_bytes():
    assert render(full()) == render(full())


# Stores with little or nothing in them


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (frames_of(), "No granule has been written to this store yet."),
        (frames_of(entries=[entry(0, "set_aside", reason="DataError: cut")]), "1 granule that could not be read"),
        (
            frames_of([row(IDS[0], 0, np.nan)], [entry(0, "cloudy")]),
            "No reach has an SSC estimate: 1 reach row without",
        ),
        (frames_of([row(IDS[0], 0, 12.0)], [entry(0)]), "1 row carries an SSC estimate, 1 of them"),
        (frames_of([row(7, 0, 12.0)], [entry(0)]), "1 of 1 reaches have no line in the store"),
        (frames_of(reaches=river().iloc[:0]), "There is no reach with a line to draw."),
        (frames_of([row(IDS[0], 0, 12.0)]), "No granule has been written"),
    ],
    ids=["nothing", "only failures", "only clouds", "one row", "no line", "no reaches", "no ledger"],
)
def test_sparse_stores_give_a_page_that_says_so(frames, says, tmp_path):
    samples = truth_of(row_frame())
    page = Page(render(frames, insitu=samples, truth=samples, quicklooks=tmp_path))
    assert says in page.text
    assert "nan" not in page.text.lower().split()


def row_frame():
    return pd.DataFrame([row(IDS[2], 400, 10.0)])


def test_estimates_without_interval_are_drawn_without_bars():
    rows = [row(IDS[0], day, 12.0, ssc_lo90=np.nan, ssc_hi90=np.nan) for day in (0, 5)]
    frames = frames_of(rows, [entry(0)])
    page = Page(render(frames, truth=truth_of(frames.rows)))
    assert len(page.all("path", "bar L30")) == 2  # in the two keys to the marks only
    assert len(page.all("path", "m L30")) == 2 * 2 + 2 * 2
    assert "none given" in page.text


def test_the_method_with_most_estimates_is_shown_and_the_other_named():
    rows = [row(IDS[0], 0, 50.0), row(IDS[0], 0, 70.0, masker="neural"), row(IDS[1], 0, 90.0, masker="neural")]
    entries = [entry(0, n_estimated=1), entry(0, masker="neural", n_estimated=2)]
    page = Page(render(frames_of(rows, entries)))
    assert "Masker neural , regressor physical" in page.text
    assert "also holds results of legacy-dswx with physical" in page.text
    assert "SSC estimates 2" in page.text
    assert "told apart by “neural”" in page.text


# Pairs and error figures


def slow_pairs(rows, observed, within):
    """Every estimate takes the nearest observation of its reach; of two that take the same one the nearer keeps it."""
    best = {}
    for estimate in rows[rows["ssc"].notna()].to_dict("records"):
        near = [
            (abs(o["time"] - estimate["time"]), number)
            for number, o in enumerate(observed.to_dict("records"))
            if o["reach_id"] == estimate["reach_id"]
        ]
        apart, number = min(near, default=(within * 2, -1))
        if apart <= within and (number not in best or apart < best[number][0]):
            best[number] = (apart, estimate["ssc"])
    return sorted((round(float(ssc), 3), round(observed["observed"][n], 3)) for n, (_, ssc) in best.items())


@pytest.mark.parametrize("seed", range(5))
def test_pairs_match_a_slow_search(seed):
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame([row(rng.choice(IDS), rng.uniform(0, 20), rng.lognormal(4)) for _ in range(40)])
    rows.loc[rng.random(40) < 0.2, "ssc"] = np.nan
    days = pd.to_timedelta(rng.uniform(0, 20, 30), unit="D")
    samples = pd.DataFrame(
        {"reach_id": rng.choice(IDS, 30), "time": pd.Timestamp(START) + days, "ssc_mg_l": rng.lognormal(4, 1, 30)}
    )
    observed = read_observed(samples, "samples")
    pairs = pair(rows, observed, INSITU_WITHIN)
    found = sorted(zip(pairs["ssc"].round(3), pairs["observed"].round(3), strict=True))
    assert found == slow_pairs(rows, observed, INSITU_WITHIN)
    assert pairs["apart"].max() <= INSITU_WITHIN
    assert 3 < len(found) < 30


def test_error_figures_by_hand():
    """Ratios 2, 2, 1/2, 8, 4: median of |ln| is ln 2, of ln is ln 2; intervals of a factor 3 hold three of five."""
    rows = pd.DataFrame([row(IDS[n % 2], n * 5, 100.0, "S30" if n > 2 else "L30", n // 4) for n in range(5)])
    samples = pd.DataFrame({"reach_id": rows["reach_id"], "time": rows["time"], "ssc_mg_l": [50, 50, 200, 12.5, 25.0]})
    overall, clean, l30, s30 = skills(pair(rows, read_observed(samples, "samples"), INSITU_WITHIN))
    assert (overall.group, overall.n, overall.n_reaches) == ("all", 5, 2)
    assert overall.mdsa == pytest.approx(100)
    assert overall.bias == pytest.approx(100)
    assert overall.covered == pytest.approx(60)
    assert (clean.n, l30.n, s30.n) == (4, 3, 2)
    assert l30.covered == pytest.approx(100)
    assert s30.mdsa == pytest.approx(100 * (math.sqrt(32) - 1))


def test_bias_is_symmetric():
    rows = pd.DataFrame([row(IDS[0], 0, 100.0)])
    for truth, bias in ((25.0, 300.0), (400.0, -300.0)):
        samples = pd.DataFrame({"reach_id": [IDS[0]], "time": rows["time"], "ssc_mg_l": [truth]})
        assert skills(pair(rows, read_observed(samples, "samples"), INSITU_WITHIN))[0].bias == pytest.approx(bias)


def test_observations_without_a_concentration_do_not_count():
    samples = pd.DataFrame({"reach_id": [1, 1, 1], "time": [START] * 3, "ssc_mg_l": [0.0, np.nan, 5.0]})
    assert read_observed(samples, "samples")["observed"].tolist() == [5.0]


def test_samples_without_a_needed_column_are_refused():
    with pytest.raises(DataError, match=r"no in-situ samples .* found columns reach_id, when; wanted reach_id, one of"):
        render(full(), insitu=pd.DataFrame({"reach_id": [1], "when": ["2024"]}))


def test_error_table_shows_the_figures(page):
    assert "all 8 2 100 +100 100" in page.text
    assert "all 3 1 100 +100 100" in page.text


# Drawings


def medians(ssc, reaches=None):
    reaches = river() if reaches is None else reaches
    return reaches.assign(ssc=np.array(ssc, dtype=float), n=[0 if math.isnan(v) else 3 for v in ssc])


def strokes(drawing):
    return [a["stroke"] for a in Page(drawing).all("path", "reach")]


def test_map_colours_by_median_and_dashes_what_has_none():
    scale = LogScale(low=10, high=1000)
    drawing = map_of(medians([1000, np.nan, 10]), scale)
    assert strokes(drawing) == [ramp()[0], ramp()[-1]]
    assert len(Page(drawing).all("path", "absent")) == 1
    assert "Alder River, reach 74299900011: median 1,000 mg/L of 3 estimates" in Page(drawing).text


def test_colours_step_evenly_in_ratios():
    scale = LogScale(low=1, high=10000)
    classes = scale.classes(np.array([1.2, 12, 120, 1200, 9999, 1e9, 0.001, np.nan, 0.0]))
    assert classes[:5].tolist() == [0, 6, 12, 18, 23]
    assert classes[5:].tolist() == [23, 0, -1, -1]
    assert LogScale.over(np.array([np.nan])).classes(np.array([np.nan])).tolist() == [-1]
    narrow = LogScale.over(np.array([50.0, 50.0]))
    assert narrow.high / narrow.low == pytest.approx(10)


def test_map_names_each_river_once_and_falls_back_to_ids():
    named = Page(map_of(medians([1, 2, 3]), LogScale(low=1, high=10))).all("text", "name")
    bare = Page(map_of(medians([1, 2, 3], river(names=("", "", ""))), LogScale(low=1, high=10)))
    assert len(named) == 1
    assert 1 <= len(bare.all("text", "name")) <= 3
    assert str(IDS[0]) in bare.text


def test_map_across_the_antimeridian_is_narrow():
    lines = [shapely.LineString([(179.8, 0), (-179.9, 0.1)]), shapely.LineString([(-179.9, 0.1), (-179.6, 0)])]
    reaches = gpd.GeoDataFrame(
        {"river_name": ["", ""]}, geometry=lines, crs="EPSG:4326", index=pd.Index(IDS[:2], name="reach_id")
    )
    drawing = map_of(medians([10, 20], reaches), LogScale(low=1, high=100))
    x = [float(v) for a in Page(drawing).all("path", "reach") for v in re.findall(r"[ML]([\d.]+) ", a["d"])]
    assert max(x) - min(x) > 600
    meridians = [words for words in Page(drawing).words if "°" in words]
    assert {"180°", "179.8°W"} <= set(meridians)


def test_graticule_tells_close_meridians_apart():
    line = shapely.LineString([(-106.06, 46.0), (-105.98, 46.01)])
    reaches = gpd.GeoDataFrame(
        {"river_name": [""]}, geometry=[line], crs="EPSG:4326", index=pd.Index(IDS[:1], name="reach_id")
    )
    meridians = [
        words for words in Page(map_of(medians([10], reaches), LogScale(low=1, high=100))).words if "W" in words
    ]
    assert meridians == ["106.06°W", "106.04°W", "106.02°W", "106°W", "105.98°W"]


def test_many_reaches_are_few_elements():
    rng = np.random.default_rng(0)
    n = 3000
    start = rng.uniform((-100, 30), (-80, 45), (n, 2))
    lines = shapely.linestrings(np.stack([start, start + rng.uniform(-0.1, 0.1, (n, 2))], axis=1))
    reaches = gpd.GeoDataFrame(
        {"river_name": [""] * n}, geometry=lines, crs="EPSG:4326", index=pd.RangeIndex(n, name="reach_id")
    )
    drawing = map_of(medians(rng.lognormal(4, 1, n), reaches), LogScale(low=1, high=1000))
    assert len(drawing) < 150_000
    assert len(Page(drawing).all("path", "reach")) <= len(ramp())


def test_series_show_products_flags_samples_and_truth(page):
    panels = page.all("svg", "panel")
    assert [re.search(r"reach (\d+)", a["aria-label"])[1] for a in panels] == [str(number) for number in IDS[:2]]
    assert "4 estimates from 20 to 160 mg/L" in panels[0]["aria-label"]
    legends = len(page.all("ul", "keys")) - 1
    drawings = 1 + 1  # the series and the scatter against truth
    assert len(page.all("path", "m S30")) == drawings * 4 + legends * 2 + 1
    assert len(page.all("path", "m S30 flagged")) == drawings * 2 + legends
    assert len(page.all("path", "m insitu")) == 3 + legends
    assert len(page.all("path", "m truth")) == 8 + legends


def test_hints_tell_what_a_mark_is(page):
    text = "2024-04-09 17:00 UTC, S2A: 160 mg/L, 90 % interval 53 to 480 mg/L; flags: narrow"
    assert text in page.text


def test_log_axis_and_its_ticks():
    axis = LogAxis(low=1, high=10000, start=100, end=0)
    assert axis.at([1, 100, 10000, 0.1]).tolist() == [100, 50, 0, 100]
    assert math.isnan(axis.at(np.nan))
    assert log_ticks(0.05, 3) == [0.05, 0.1, 0.2, 0.5, 1, 2]
    assert log_ticks(0.05, 30) == [0.1, 1, 10]


@pytest.mark.parametrize("days", [0, 1, 5, 20, 70, 200, 400, 1200, 4000, 15000])
def test_time_axis_has_a_few_round_ticks(days):
    times = pd.Series(pd.to_datetime([START, START + timedelta(days=days)], utc=True))
    axis = TimeAxis.over(times, 0, 100)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 4
    assert all(0 <= x <= 100 for x, _ in ticks)
    assert len({text for _, text in ticks}) == len(ticks)
    assert 0 < axis.at(times)[0] <= axis.at(times)[1] < 100


def calendar(days, statuses):
    acquired = pd.to_datetime([START + timedelta(days=day) for day in days], utc=True)
    return Page(calendar_of(pd.DataFrame({"acquired": acquired, "status": statuses})))


def test_calendar_has_a_cell_a_day_and_shares_it():
    drawn = calendar([0, 0, 0, 45], ["estimated", "estimated", "cloudy", "set_aside"])
    assert "2024-01 10: 2 estimated, 1 cloudy" in drawn.text
    assert "2024-02 24: 1 set aside" in drawn.text
    shares = [float(a["width"]) for a in drawn.all("rect") if "fill" in a]
    assert sorted(shares) == pytest.approx([20 / 3, 40 / 3, 20], abs=0.06)
    assert len(drawn.all("rect", "none")) == 31 + 29 - 2


def test_calendar_of_many_years_has_a_cell_a_month():
    drawn = calendar([0, 5, 2000], ["estimated", "no_water", "cloudy"])
    assert "2024 Jan: 1 estimated, 1 no water" in drawn.text
    assert "2029 Jul: 1 cloudy" in drawn.text
    assert len(drawn.all("rect", "none")) == 6 * 12 - 2


# Pictures


def noise(width, height, seed=0):
    """As hard to compress as a picture can be."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=85)
    return stream.getvalue()


def test_a_hundred_pictures_fit_the_page(tmp_path):
    path = tmp_path / "noise.jpg"
    path.write_bytes(noise(1800, 700))
    content = base64.b64decode(embed(path, share(100)).removeprefix("data:image/webp;base64,"))
    assert len(content) <= share(100)
    assert 100 * share(100) <= BUDGET
    assert Image.open(io.BytesIO(content)).width >= 500


def test_quicklooks_stand_in_order_of_time_with_their_status(tmp_path):
    for day, product in ((90, "S30"), (0, "L30"), (33, "L30")):
        (tmp_path / f"{granule_of(day, product)}.jpg").write_bytes(noise(60, 24))
    (tmp_path / "HLS.L30.T15SXR.2020001T000000.v2.0.jpg").write_bytes(noise(60, 24))
    page = Page(render(full(), quicklooks=tmp_path))
    alts = [image["alt"] for image in page.all("img")]
    assert [re.search(r"granule (\S+):", alt)[1] for alt in alts] == [
        granule_of(0),
        granule_of(33),
        granule_of(90, "S30"),
    ]
    assert "cloudy; SSC for 0 of 3 reaches" in alts[1]
    assert all(image["src"].startswith("data:image/webp;base64,") for image in page.all("img"))


# The store


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store", create=True)
    store.write_reaches(make_reaches())
    rows = make_rows(days=5)
    store.write(rows)
    names = sorted({name for names in rows["granule_ids"] for name in names})
    store.ledger.write(
        [
            Entry(
                granule_id=name,
                masker="legacy-dswx",
                regressor="physical",
                status="estimated",
                settings_hash="ab" * 8,
                n_reaches=3,
                n_estimated=3,
            )
            for name in names
        ]
    )
    return store


def test_report_of_a_real_store(store, tmp_path):
    out = write_report(store, tmp_path / "new" / "report.html", facts={"Basin": "Ouachita"})
    page = Page(out.read_text(encoding="utf-8"))
    estimates = int(store.query()["ssc"].notna().sum())
    assert f"SSC estimates {estimates}" in page.text
    assert "Mississippi River" in page.text
    assert "Basin Ouachita" in page.text
    assert [file.name for file in out.parent.iterdir()] == ["report.html"]
    assert write_report(store.place.uri, out).stat().st_size < 1_000_000


def test_statuses_in_the_calendar_are_those_of_the_ledger(store, tmp_path):
    page = Page(write_report(store, tmp_path / "r.html").read_text(encoding="utf-8"))
    cells = Counter(re.findall(r"2021-09 \d+: (\d+ \w+)", page.text))
    assert cells == {"1 estimated": 5}


def test_no_store_and_no_folder_are_refused(store, tmp_path):
    with pytest.raises(InputError, match="no results store"):
        write_report(tmp_path / "nowhere", tmp_path / "r.html")
    with pytest.raises(InputError, match="no folder of quick-looks"):
        write_report(store, tmp_path / "r.html", quicklooks=tmp_path / "nowhere")
    assert not (tmp_path / "r.html").exists()
