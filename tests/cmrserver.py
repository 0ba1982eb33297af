"""A CMR on loopback: pages of granule records with CMR's headers, and faults on request. Records in CMR's own form."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml


@dataclass
class Answer:
    """What is sent instead of a page."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class CmrServer:
    """What is served and how; each search gets all records, whatever it asks for."""

    records: list[dict[str, Any]]
    faults: list[Answer | None] = field(default_factory=list)
    """Answers to the next requests, one each; None is a page."""
    lost: frozenset[int] = frozenset()
    """Numbers of records that are counted and never sent."""
    short: int = 0
    """Records missing from each page, to come with the next."""
    url: str = ""
    requests: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = field(default_factory=list)
    """(method, parameters, headers) of every request."""

    def answer(self, parameters: list[tuple[str, str]], after: str | None) -> Answer:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            return fault
        first = json.loads(after)[0] if after else 0
        last = first + int(dict(parameters)["page_size"]) - self.short
        items = [
            record for number, record in enumerate(self.records) if first <= number < last and number not in self.lost
        ]
        headers = {"CMR-Hits": str(len(self.records))}
        if first < len(self.records):
            headers["CMR-Search-After"] = json.dumps([last])
        return Answer(body=json.dumps({"hits": len(self.records), "took": 7, "items": items}), headers=headers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: CmrServer

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer(urlsplit(self.path).query)

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, query: str) -> None:
        parameters = parse_qsl(query)
        self.state.requests.append((self.command, parameters, dict(self.headers.items())))
        known = urlsplit(self.path).path == "/search/granules.umm_json"
        answer = self.state.answer(parameters, self.headers.get("CMR-Search-After")) if known else Answer(status=404)
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serving_cmr(records: list[dict[str, Any]]) -> Iterator[CmrServer]:
    """A CMR that holds these records; `url` is what `search` takes as base."""
    state = CmrServer(records)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.url = f"http://127.0.0.1:{server.server_port}/search"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def record(name, *, concept="G1-LPCLOUD", revision=1, cloud=5, size=100_000_000, box=(-91.0, 32.0, -90.0, 33.0)):
    """A record of an HLS granule in UMM-G, as small as may be."""
    west, south, east, north = box
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    folder = f"lp-prod-protected/HLS{name[4:7]}.020/{name}"
    public = folder.replace("protected", "public")
    https = "https://data.lpdaac.earthdatacloud.nasa.gov"
    return {
        "meta": {
            "concept-id": concept,
            "native-id": name,
            "revision-id": revision,
            "revision-date": f"2021-10-{revision:02d}T10:47:01.310Z",
        },
        "umm": {
            "RelatedUrls": [
                {"URL": f"{https}/{folder}/{name}.B04.tif", "Type": "GET DATA"},
                {"URL": f"s3://{folder}/{name}.B04.tif", "Type": "GET DATA VIA DIRECT ACCESS"},
                {"URL": f"{https}/{folder}/{name}.Fmask.tif", "Type": "GET DATA"},
                {"URL": f"{https}/{public}/{name}.jpg", "Type": "GET RELATED VISUALIZATION"},
                {
                    "URL": "https://data.lpdaac.earthdatacloud.nasa.gov/s3credentials",
                    "Type": "VIEW RELATED INFORMATION",
                },
            ],
            "AdditionalAttributes": [{"Name": "CLOUD_COVERAGE", "Values": [str(cloud)]}],
            "DataGranule": {"ArchiveAndDistributionInformation": [{"Name": "Not provided", "SizeInBytes": size}]},
            "SpatialExtent": _extent([corners]),
        },
    }


def record_of_feature(feature):
    """The same record in UMM-G that CMR wrote as a STAC feature (real ones were recorded in STAC only)."""
    urls = [asset["href"] for asset in feature["assets"].values()]
    name = next(url.split("/")[-2] for url in urls if url.endswith(".Fmask.tif"))
    return {
        "meta": {
            "concept-id": feature["id"],
            "native-id": name,
            "revision-id": 1,
            "revision-date": "2021-10-15T03:48:08.875Z",
        },
        "umm": {
            "RelatedUrls": [{"URL": url, "Type": "GET DATA"} for url in urls],
            "CloudCover": feature["properties"]["eo:cloud_cover"],
            "SpatialExtent": _extent(feature["geometry"]["coordinates"]),
        },
    }


def recorded(path):
    """[(text of the body, headers)] of a cassette's interactions with CMR."""
    cassette = yaml.safe_load(path.read_text())
    cassette = cassette["interactions"]
    answers = [each["response"] for each in cassette if "cmr.earthdata.nasa.gov" in each["request"]["uri"]]
    return [(each["body"]["string"], {name: values[0] for name, values in each["headers"].items()}) for each in answers]


def _extent(rings):
    points = [[{"Longitude": lon, "Latitude": lat} for lon, lat in ring] for ring in rings]
    return {"HorizontalSpatialDomain": {"Geometry": {"GPolygons": [{"Boundary": {"Points": ring}} for ring in points]}}}
