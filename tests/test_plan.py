"""What a run costs: the arithmetic, and `ssc plan` against a CMR on loopback."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from cmrserver import record, serving_cmr
from flows.cli import app
from ssc.catalog import read_record
from ssc.errors import InputError
from ssc.plan import TYPICAL_BYTES, Rates, plan_run
from tiny import write_river

S30, L30 = "HLS.S30.T15SXR.2021250T163901.v2.0", "HLS.L30.T15SXR.2021251T164000.v2.0"
LATER, ELSEWHERE = "HLS.S30.T15SXR.2021255T163901.v2.0", "HLS.S30.T15SYR.2021250T163901.v2.0"
RATES = Rates(corridor_share=0.5, granule_s=1, masker_s=2, bytes_per_s=1e6, row_bytes=1000, workers=2)


def found(*granules):
    return [read_record(record(name, size=size)) for name, size in granules]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    boxes = {S30: (-93, 32, -91, 33), L30: (-93, 32, -91, 33), ELSEWHERE: (-80, 32, -79, 33)}
    records = [
        record(name, concept=f"G{number}-LPCLOUD", cloud=20 * number, size=180_000_000, box=box)
        for number, (name, box) in enumerate(boxes.items())
    ]
    with serving_cmr(records) as server:
        yield server


def run(server, *words):
    return CliRunner().invoke(
        app, ["plan", "--start", "2021-09-01", "--end", "2021-09-30", "--cmr", server.url, *words]
    )


def test_costs_by_hand():
    granules = found((S30, 180_000_000), (LATER, 90_000_000), (L30, 150_000_000))
    reaches_of = {granules[0].granule: (1, 2, 3), granules[1].granule: (1,), granules[2].granule: (1, 2)}
    plan = plan_run(granules, reaches_of, RATES)
    # seven files of 18 or 15, half of each is read; 3 s of work by 2 workers, 1 MB/s
    wanted = pd.DataFrame(
        {
            "tile": ["15SXR", "15SXR"],
            "product": ["L30", "S30"],
            "granules": [1, 2],
            "rows": [2, 4],
            "granule_bytes": [150_000_000, 270_000_000],
            "read_bytes": [35_000_000, 52_500_000],
            "staged_bytes": [70_000_000, 105_000_000],
            "store_bytes": [2000, 4000],
            "seconds": [36.5, 55.5],
        }
    )
    pd.testing.assert_frame_equal(plan.table, wanted)
    summary = plan.summary()
    assert (summary["granules"], summary["tiles"], summary["rows"], summary["seconds"]) == (3, 1, 6, 92.0)
    assert (summary["first"], summary["last"]) == ("2021-09-07T16:39:01+00:00", "2021-09-12T16:39:01+00:00")
    assert json.loads(json.dumps(summary))["rates"]["workers"] == 2


def test_granules_that_see_no_reach_cost_nothing():
    granules = found((S30, 1000), (ELSEWHERE, 1000))
    assert plan_run(granules, {granules[0].granule: (1,)}).summary()["granules"] == 1
    every = plan_run(granules)
    assert every.table["tile"].tolist() == ["15SXR", "15SYR"]
    assert every.table["rows"].tolist() == [0, 0]


def test_unknown_sizes_are_typical_ones_and_told():
    plan = plan_run(found((S30, 0), (L30, 1000)))
    assert plan.summary()["granules_of_unknown_size"] == 1
    assert plan.summary()["granule_bytes"] == TYPICAL_BYTES["S30"] + 1000


def test_nothing_costs_nothing():
    plan = plan_run([])
    assert plan.table.empty
    assert plan.table["granules"].dtype == "int64"
    summary = plan.summary()
    assert (summary["granules"], summary["seconds"], summary["first"]) == (0, 0.0, None)


def test_more_granules_more_cost_and_more_workers_less_time():
    granules = found((S30, 10**8), (LATER, 10**8))
    one, two = plan_run(granules[:1]), plan_run(granules)
    assert two.summary()["read_bytes"] == 2 * one.summary()["read_bytes"]
    assert plan_run(granules, rates=Rates(workers=4)).summary()["seconds"] < two.summary()["seconds"]


def test_plan_of_a_box(server):
    answer = run(server, "--bbox", "-92", "31", "-90", "33", "--json")
    assert answer.exit_code == 0
    plan = json.loads(answer.stdout)
    assert (plan["granules"], plan["tiles"], plan["granule_bytes"]) == (3, 2, 540_000_000)
    assert [(row["tile"], row["product"]) for row in plan["by_tile"]] == [
        ("15SXR", "L30"), ("15SXR", "S30"), ("15SYR", "S30"),
    ]  # fmt: skip
    assert ("bounding_box[]", "-92.0,31.0,-90.0,33.0") in server.requests[0][1]


def test_plan_of_reaches_asks_for_their_tiles_and_drops_what_sees_none(server, tmp_path):
    reaches = str(write_river(tmp_path / "reaches.geojson"))
    answer = run(server, "--reaches", reaches, "--basin", "74", "--json")
    plan = json.loads(answer.stdout)
    assert (plan["granules"], plan["rows"], plan["tiles"]) == (2, 2, 1)
    asked = [value for name, value in server.requests[0][1] if name == "readable_granule_name[]"]
    assert "HLS.S30.T15SXR.*" in asked
    assert not [name for name, _ in server.requests[0][1] if "bounding" in name]


def test_a_cloud_limit(server):
    plan = json.loads(run(server, "--bbox", "-92", "31", "-90", "33", "--cloud", "15", "--json").stdout)
    assert plan["granules"] == 1


def test_plan_in_words(server):
    answer = run(server, "--bbox", "-92", "31", "-90", "33")
    assert answer.exit_code == 0
    assert "15SXR" in answer.stdout
    assert "3 granules on 2 tiles, 2021-09-07T16:39:01+00:00 to 2021-09-08T16:40:00+00:00: read 0.03 GB of 0.54 GB" in (
        answer.stdout
    )
    server.records.clear()
    assert run(server, "--bbox", "-92", "31", "-90", "33").stdout == "no granules found\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "found neither --reaches nor --bbox"), (("--basin", "74"), "found no --reaches")],
)
def test_plans_that_cannot_be(server, words, message):
    answer = run(server, *words)
    assert isinstance(answer.exception, InputError)
    assert message in str(answer.exception)
    assert not server.requests
