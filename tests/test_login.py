"""Logging in, by the unchanged earthaccess client, against servers on loopback that bear the real names.

A proxy on loopback takes every CONNECT and answers in the place of the host that was asked for, with a certificate made
for the test: so host names, https and redirects between hosts are those of the real Earthdata.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import logging
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from ssc.errors import AccessError, TransientError
from ssc.gdal import MissingFileError
from ssc.login import login, try_access

EDL, DATA, STORE = "urs.earthdata.nasa.gov", "data.lpdaac.earthdatacloud.nasa.gov", "signed.example.org"
USER, PASSWORD = "anna", "CANARY-password-77"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
FILE = f"https://{DATA}/lp-prod-protected/a.tif"


def jwt(expires):
    """A token as Earthdata's: header, claims, signature."""
    parts = [{"alg": "RS256"}, {"uid": USER, "exp": expires}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".sig"


GOOD, OLD = jwt(4_000_000_000), jwt(1_600_000_000)
CANARIES = (PASSWORD, BASIC.split()[1], GOOD.split(".")[1], OLD.split(".")[1], "CANARYSIGNATURE")


class Handler(BaseHTTPRequestHandler):
    """First the proxy; after CONNECT, over TLS, each of the hosts."""

    protocol_version = "HTTP/1.1"
    host = ""

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        self.host = self.path.partition(":")[0]
        self.send_response_only(200)
        self.end_headers()
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", buffering=0)
        self.close_connection = False

    def finish(self):
        super().finish()
        self.request.close()

    def do_POST(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):  # noqa: PLR0911 (one line an address)
        path, login = self.path.partition("?")[0], self.headers.get("Authorization", "")
        self.server.asked.append((self.host, path, login))
        if (self.host, path) in self.server.answers:
            return self.send(*self.server.answers[self.host, path])
        if path == "/api/users/find_or_create_token":
            token = {"access_token": GOOD, "expiration_date": "01/01/2096"}
            return self.send(200, json.dumps(token)) if login == BASIC else self.send(401, PASSWORD)
        if path == "/oauth/authorize":
            return self.go(f"https://{DATA}/login?code=1") if login == BASIC else self.send(401, "who?")
        if path == "/old/a.tif":
            return self.go(f"https://{EDL}/oauth/authorize?client_id=1")
        if path == "/login":
            return self.go(FILE, cookie="asf-urs=1; Path=/")
        if path.startswith("/lp-prod-protected/"):
            known = login == f"Bearer {GOOD}" or "asf-urs=1" in self.headers.get("Cookie", "")
            return self.go(f"https://{STORE}/a.tif?X-Amz-Signature=CANARYSIGNATURE") if known else self.send(401, "no")
        return self.send(200, "the file")

    def go(self, place, cookie=None):
        self.send(302, "", Location=place, **({"Set-Cookie": cookie} if cookie else {}))

    def send(self, status, body, **headers):
        self.send_response(status)
        for key, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, text)
        self.end_headers()
        self.wfile.write(body.encode())


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that went away is no news."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and key in one file, for the three hosts."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "loopback")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in (EDL, DATA, STORE)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "loopback.pem"
    plain = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def earthdata(certificate, tmp_path, monkeypatch):
    """The proxy; no login is set up yet."""
    proxy = Proxy(("127.0.0.1", 0), Handler)
    proxy.asked, proxy.answers = [], {}
    proxy.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proxy.tls.load_cert_chain(certificate)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("EARTHDATA_TOKEN", "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "NO_PROXY", "no_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield proxy
    proxy.shutdown()
    proxy.server_close()
    thread.join()


@pytest.fixture
def password(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_USERNAME", USER)
    monkeypatch.setenv("EARTHDATA_PASSWORD", PASSWORD)


def fetched(href=FILE):
    with login() as session:
        return session.get(href, timeout=5).text


def test_a_token_goes_to_the_data_host_and_no_further(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", GOOD)
    assert fetched() == "the file"
    assert earthdata.asked == [(DATA, "/lp-prod-protected/a.tif", f"Bearer {GOOD}"), (STORE, "/a.tif", "")]


def test_a_token_is_not_offered_to_strangers_from_the_start(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", GOOD)
    assert fetched(f"https://{STORE}/a.tif") == "the file"
    assert earthdata.asked == [(STORE, "/a.tif", "")]


@pytest.mark.parametrize("way", ["environment", "netrc"])
def test_a_password_gets_a_token(earthdata, monkeypatch, tmp_path, way):
    if way == "netrc":  # the default entry fits every host: it must not be sent to the store
        lines = f"machine {EDL} login {USER} password {PASSWORD}\ndefault login x password CANARY-default\n"
        (tmp_path / "netrc").write_text(lines)
    else:
        monkeypatch.setenv("EARTHDATA_USERNAME", USER)
        monkeypatch.setenv("EARTHDATA_PASSWORD", PASSWORD)
    assert fetched() == "the file"
    assert earthdata.asked[-2:] == [(DATA, "/lp-prod-protected/a.tif", f"Bearer {GOOD}"), (STORE, "/a.tif", "")]
    assert (EDL, "/api/users/find_or_create_token", BASIC) in earthdata.asked


@pytest.mark.usefixtures("password")
def test_on_the_way_over_earthdata_login_each_host_gets_its_own(earthdata):
    """A data host that takes no token sends us to Earthdata Login, which gets the password; nobody else does."""
    with login() as session:
        earthdata.asked.clear()
        session.auth = None  # the host takes no tokens
        assert session.get(f"https://{DATA}/old/a.tif", timeout=5).text == "the file"
    logins = {host: {login for where, _, login in earthdata.asked if where == host} for host in (EDL, DATA, STORE)}
    assert BASIC in logins[EDL]
    assert logins[DATA] == {""}
    assert logins[STORE] == {""}


def test_no_login_at_all(earthdata):
    with pytest.raises(AccessError, match=r"no Earthdata login: found .*netrc.*set EARTHDATA_TOKEN"):
        login()
    assert earthdata.asked == []


def test_a_netrc_without_earthdata(earthdata, tmp_path):
    (tmp_path / "netrc").write_text("machine example.org login a password b\n")
    with pytest.raises(
        AccessError, match=r"no Earthdata login: found Username not found in \.netrc.*netrc entry for urs"
    ):
        login()


@pytest.mark.usefixtures("password")
def test_a_wrong_password(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_PASSWORD", PASSWORD + "x")
    with pytest.raises(AccessError, match=r"wrong user or password: .*correct EARTHDATA_USERNAME and EARTHDATA_PASS"):
        login()


@pytest.mark.usefixtures("password")
def test_earthdata_login_in_trouble_is_no_wrong_password(earthdata):
    earthdata.answers[EDL, "/api/users/find_or_create_token"] = (503, "down")
    with pytest.raises(TransientError, match="HTTP 503"):
        login()


@pytest.mark.parametrize(
    ("token", "told"), [(OLD, "ended 2020-09-13 12:26 UTC.*make a new one"), (" ", "empty"), ("a b", "blanks")]
)
def test_a_token_that_can_be_seen_to_be_no_good(earthdata, monkeypatch, token, told):
    monkeypatch.setenv("EARTHDATA_TOKEN", token)
    with pytest.raises(AccessError, match=told) as caught:
        login()
    assert earthdata.asked == []
    assert OLD not in str(caught.value)


def test_a_token_that_the_data_host_does_not_take(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "revoked")
    with login() as session, pytest.raises(AccessError, match=r"HTTP 401.*token may have expired"):
        try_access(session, FILE)


@pytest.mark.parametrize("status", [401, 403])
def test_a_licence_not_accepted(earthdata, monkeypatch, status):
    monkeypatch.setenv("EARTHDATA_TOKEN", GOOD)
    body = '{"error_description": "EULA Acceptance Failure", "resolution_url": "https://urs.example"}'
    earthdata.answers[DATA, "/lp-prod-protected/a.tif"] = (status, body)
    with login() as session, pytest.raises(AccessError, match="accept the licence"):
        try_access(session, FILE)


def test_access_that_is_there(earthdata, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", GOOD)
    earthdata.answers[DATA, "/lp-prod-protected/none.tif"] = (404, "")
    with login() as session:
        try_access(session, FILE)
        with pytest.raises(MissingFileError, match=r"none\.tif"):
            try_access(session, f"https://{DATA}/lp-prod-protected/none.tif?k=CANARYSIGNATURE")


@pytest.mark.usefixtures("password")
def test_no_network(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(AccessError, match=f"no way to Earthdata: {EDL}: .*check network"):
        login()


@pytest.mark.usefixtures("password")
def test_secrets_appear_nowhere(earthdata, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    said = []
    with login() as session:
        session.get(FILE, timeout=5)
        said += [repr(session), repr(session.auth), str(vars(session.auth).keys())]
    monkeypatch.setenv("EARTHDATA_PASSWORD", PASSWORD + "x")
    for token in ("", OLD):
        if token:
            monkeypatch.setenv("EARTHDATA_TOKEN", token)
        with pytest.raises(AccessError) as caught:
            login()
        said += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    assert "urllib3" in caplog.text  # it did speak
    assert [(canary, text) for canary in CANARIES for text in [*said, caplog.text] if canary in text] == []


def test_an_open_address_is_none_of_earthdatas(earthdata, monkeypatch):
    """Plain http never carries the token, whatever the host is called."""
    monkeypatch.setenv("EARTHDATA_TOKEN", GOOD)
    with login() as session:
        request = session.prepare_request(requests.Request("GET", FILE.replace("https", "http")))
    assert "Authorization" not in request.headers
