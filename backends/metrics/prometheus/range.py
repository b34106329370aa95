"""Range queries by prometheus-api-client, blocking: run them in a thread. Imported when the first one is asked for.

The client (0.7.2) has no time limit of its own, retries for seconds, puts the query of a POST into the URL, reads
bodies of any size, and raises what `requests` raises. All of that is the business of the session that it is given.
"""

import io
import os
import time
from datetime import datetime
from typing import Any

import msgspec
import requests
import urllib3
from msgspec import Struct
from prometheus_api_client import PrometheusConnect

from backends.bodies import MAX_BODY_BYTES, content_coding, too_large
from backends.credentials import ServerAccess
from backends.errors import BackendError
from backends.http import CONNECT_TIMEOUT_S, Answer, connection_words
from backends.inflating import DamagedError
from backends.metrics.prometheus.api import API, LONGEST_IN_URL, refused_by
from backends.metrics.prometheus.wire import Envelope, WireSeries, series_of
from backends.ports import Series
from backends.proxies import proxy_for
from backends.redaction import quoted, redact_url, request_secrets

CHUNK = 64 * 1024


class RangeQuery(Struct, frozen=True, kw_only=True):
    """One query over time; `params` go with it. It has to be answered by `deadline` (`time.monotonic()`)."""

    query: str
    start: datetime
    end: datetime
    step: float
    params: dict[str, str]
    deadline: float


def read_range(access: ServerAccess, wanted: RangeQuery) -> tuple[list[Series], tuple[str, ...]]:
    """The series, and the warnings of the server. Raises BackendError.

    A connection of its own: a kept one may be dead, and nothing is retried here.
    """
    session = BoundedSession(access, wanted.deadline)
    where = redact_url(f"{access.base}{API}/query_range")
    try:
        client: Any = PrometheusConnect(
            access.base, headers=access.headers, auth=access.auth, session=session,
            retry=urllib3.Retry(0, redirect=False), method="POST" if len(wanted.query) > LONGEST_IN_URL else "GET",
        )  # fmt: skip
        result = client.custom_query_range(
            wanted.query, wanted.start, wanted.end, f"{wanted.step:.3f}", params=wanted.params
        )
        wire = msgspec.convert(result, list[WireSeries])
        said = session.envelope.said
        return [series_of(series, said) for series in wire], said
    except (requests.Timeout, urllib3.exceptions.TimeoutError):
        raise BackendError("timeout", f"{where}: no answer in time") from None
    except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader, UnicodeError):
        raise BackendError("config", f"{where}: the host name or a header cannot be sent") from None
    except (requests.ConnectionError, urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError) as error:
        words = connection_words(error)
        known = words if len(words) < 60 else "connection lost before the answer was complete"
        raise BackendError("unreachable", f"{where}: {known}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, KeyError, TypeError, ValueError) as error:
        secrets = request_secrets(access.base, access.headers, access.auth)
        words = quoted(str(error) or type(error).__name__, secrets=secrets)
        raise BackendError("malformed", f"{where}: {words}") from None
    except DamagedError as error:
        raise BackendError("malformed", f"{where}: not gzip, as it says: {error}") from None
    finally:
        session.close()


class BoundedSession(requests.Session):
    """One request: in time, of bounded size, not redirected, a long query in the body; a refusal is a BackendError."""

    def __init__(self, access: ServerAccess, deadline: float) -> None:
        super().__init__()
        self.headers.update({"user-agent": "tealdeck", "accept-encoding": "gzip"})
        self.trust_env = False  # or a .netrc would replace the credentials
        proxy = (proxy_for(access.base) or "").replace("socks5://", "socks5h://")  # names are resolved there
        self.proxies = dict.fromkeys(("http", "https"), proxy) if proxy else {}
        self.verify = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or True
        self.envelope = Envelope()
        self._access = access
        self._deadline = deadline

    def request(self, method: Any, url: Any, *args: Any, **given: Any) -> requests.Response:
        """As `requests.Session.request`, which the client calls with keywords."""
        left = self._left()
        given |= {"timeout": (min(CONNECT_TIMEOUT_S, left), left), "stream": True, "allow_redirects": False}
        if method == "POST":
            given["data"] = given.pop("params")
        began = time.monotonic()
        response = super().request(method, url, *args, **given)
        try:
            body = self._whole(response)
        finally:
            response.raw.close()  # closing the session would leave it open
        answer = Answer(
            response.status_code, response.headers, body, time.monotonic() - began, redact_url(str(url))
        )  # fmt: skip
        if answer.status >= 300:
            raise refused_by(answer, self._access)
        self.envelope = answer.decode(Envelope)
        if self.envelope.status != "success":
            raise refused_by(answer, self._access)
        response.raw = io.BytesIO(body)
        return response

    def _whole(self, response: requests.Response) -> bytes:
        """The body; `requests` would wait for the next byte for ever, if one comes now and then."""
        where = redact_url(response.url)
        gunzip = content_coding(response.headers.get("content-encoding", ""), where)
        body = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            for piece in gunzip.feed(chunk) if gunzip else (chunk,):
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    raise too_large(where)
                self._left()
        return bytes(body + (gunzip.rest() if gunzip else b""))

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout
        return left
