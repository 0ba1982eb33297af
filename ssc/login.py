"""Logging in to Earthdata without a prompt: a session for https that takes the login to Earthdata and to nobody else.

The login comes, through earthaccess, from EARTHDATA_TOKEN or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, else from the
netrc file. A data host sends some requests on to Earthdata Login, which is answered with the password where we have
one, and then to signed addresses elsewhere, which get no login at all.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import requests
from earthaccess.auth import Auth
from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable

from ssc.earthdata import HOST, hide_queries, refusal
from ssc.errors import AccessError, SscError, TransientError
from ssc.gdal import answered, is_earthdata, told

_STRATEGIES: Final = ("environment", "netrc")
_REMEDY: Final = f"set EARTHDATA_TOKEN (https://{HOST}/profile, Generate Token), or a netrc entry for {HOST}"


class EarthdataSession(requests.Session):
    """A session whose login goes to Earthdata alone."""

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """After a redirect: no login from one host for another, and none out of netrc, whose default entry fits all."""
        before, after = response.request.url, prepared_request.url
        if before is None or after is None or self.should_strip_auth(before, after):
            prepared_request.headers.pop("Authorization", None)


def login() -> requests.Session:
    """An authenticated session for https.

    Raises:
        AccessError: No login found, wrong password, expired token, or no way to Earthdata.
        TransientError: Earthdata Login is in trouble.
    """
    hide_queries()
    auth = _authenticated()
    token = str((auth.token or {}).get("access_token", ""))
    _check_token(token)
    session = EarthdataSession()
    session.headers["User-Agent"] = "river-ssc"
    session.auth = _Bearer(token)
    session.hooks["response"] = [_secure(hook) for hook in auth.get_session().hooks["response"] if hook != auth.note]
    return session


def try_access(session: requests.Session, href: str) -> None:
    """Ask a data host for one byte: whether the login is good for these data, before many files are asked for.

    Raises:
        AccessError: Refused; the licence (EULA) is not accepted, the token has expired, or there is no way to the host.
        TransientError, DataError: The host is in trouble, or there is no such file.
    """
    which = told(href, href.rpartition("/")[2].partition("?")[0])
    try:
        with session.get(href, headers={"Range": "bytes=0-0"}, stream=True, timeout=(10, 60)) as answer:
            if answer.status_code in {401, 403}:
                raise refusal(answer.status_code, answer.text[: 2**14], which)
            if answer.status_code not in {200, 206}:
                raise answered(answer.status_code, which)
            if "text/html" in answer.headers.get("Content-Type", ""):
                raise AccessError(f"refused: {which}: found a login page, wanted the file ({_REMEDY})")
    except requests.RequestException as error:
        raise _no_network(which, error) from None


class _Bearer(requests.auth.AuthBase):
    """The token, for Earthdata over https only."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if is_earthdata(request.url or ""):
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Auth(Auth):
    """Remembers what Earthdata Login answered: earthaccess raises one error for a wrong password and for a failure."""

    status = 0
    """Last HTTP status, 0 before any."""

    def get_session(self) -> requests.Session:
        session: requests.Session = super().get_session()
        session.hooks["response"].append(self.note)
        return session

    def note(self, response: requests.Response, **_: Any) -> requests.Response:
        self.status = response.status_code
        return response


def _authenticated() -> _Auth:
    """By the first way that is set up."""
    reasons = []
    for strategy in _STRATEGIES:
        auth = _Auth()
        try:
            with _quiet():
                auth.login(strategy=strategy)
        except LoginStrategyUnavailable as error:
            reasons.append(" ".join(str(error).split()))
        except LoginAttemptFailure:  # its text is the server's answer, whatever that holds
            raise _failed(auth.status, strategy) from None
        except requests.RequestException as error:
            raise _no_network(HOST, error) from None
        else:
            return auth
    raise AccessError(f"no Earthdata login: found {reasons[-1]}, and no EARTHDATA_* in the environment ({_REMEDY})")


def _failed(status: int, strategy: str) -> SscError:
    if status == 429 or status >= 500:
        return TransientError(
            f"Earthdata Login in trouble: {HOST}: found HTTP {status}, wanted a token (try again later)"
        )
    where = "EARTHDATA_USERNAME and EARTHDATA_PASSWORD" if strategy == "environment" else "the netrc file"
    return AccessError(
        f"wrong user or password: {HOST}: found HTTP {status}, wanted a token (correct {where}; try it at https://{HOST})"
    )


def _no_network(which: str, error: requests.RequestException) -> AccessError:
    found = type(error).__name__  # its text holds addresses, with what is in their queries
    return AccessError(
        f"no way to Earthdata: {which}: found {found}, wanted an answer (check network, proxy, firewall)"
    )


def _check_token(token: str) -> None:
    """A token says itself when it ends; those that say nothing are tried."""
    if not token.strip():
        raise AccessError(f"no Earthdata login: found an empty EARTHDATA_TOKEN, wanted a token ({_REMEDY})")
    if not token.isascii() or any(each.isspace() for each in token):
        raise AccessError(
            f"not an Earthdata token: found one with blanks or foreign letters, wanted it whole ({_REMEDY})"
        )
    ends = _expiry(token)
    if ends is not None and ends <= datetime.now(UTC):
        raise AccessError(
            f"expired Earthdata token: found one that ended {ends:%Y-%m-%d %H:%M} UTC, wanted one that lasts "
            f"(make a new one: https://{HOST}/profile, Generate Token)"
        )


def _expiry(token: str) -> datetime | None:
    """When a JSON Web Token ends (RFC 7519, 4.1.4), aware UTC; None if it is not one or does not tell."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, binascii.Error):
        return None


def _secure(hook: Any) -> Any:
    """The hook that answers Earthdata Login with the password, over https only."""
    return lambda response, **kwargs: hook(response, **kwargs) if response.url.startswith("https://") else response


@contextmanager
def _quiet() -> Iterator[None]:
    """Without earthaccess' own log of a failure, which is the server's answer over many lines."""
    logger = logging.getLogger("earthaccess.auth")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
