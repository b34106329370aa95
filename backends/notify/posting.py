"""One POST to an address that is a secret itself: what fails is said by its label, never by its URL."""

from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any

from backends.errors import BackendError
from backends.http import Answer, Http
from backends.redaction import redact_url

POST_TIMEOUT_S = 4.0
MIN_SECRET_CHARS = 3
UNSAID_WAIT_S = 1.0  # who is limited and does not say for how long
_NOT_THERE = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_WHO_ARE_YOU = (HTTPStatus.UNAUTHORIZED, HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)
FIX_REFUSED = "check the address and the key of this entry, in the receiving system, too"


async def post(
    http: Http,
    url: str,
    body: Any,
    *,
    label: str,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    timeout: float = POST_TIMEOUT_S,
) -> Answer:
    """Send `body` as JSON, once. Raises BackendError as `Http.request`, with `label` where the URL would stand."""
    sending = http.request("POST", url, json=body, headers=headers, auth=auth, timeout=timeout)
    return await said_by_label(sending, url, label)


async def reach(
    http: Http, url: str, *, label: str, headers: Mapping[str, str] | None = None, timeout: float = POST_TIMEOUT_S
) -> None:
    """Go the way of `post` without sending anything: any answer to a HEAD is one, also that only POST is known here.
    Raises BackendError as `post`, and where a proxy answers for a system that does not, or credentials are refused."""
    # A server that answers a HEAD with a body would spoil the next answer on the same connection.
    asked = {**(headers or {}), "connection": "close"}
    asking = http.request("HEAD", url, headers=asked, timeout=timeout, accept_errors=True)
    status = (await said_by_label(asking, url, label)).status
    if status in _NOT_THERE:
        raise BackendError("unreachable", f"{label}: HTTP {status}", status=status)
    if status in _WHO_ARE_YOU:
        raise BackendError("auth", f"{label}: HTTP {status}", fix=FIX_REFUSED, status=status)


async def said_by_label(asking: Awaitable[Answer], url: str, label: str) -> Answer:
    """What `asking` for `url` gives. Raises BackendError as `post`."""
    failure: BackendError
    try:
        return await asking
    except BackendError as error:
        # What a server says to a refused order may quote the path, which is the token of many a webhook.
        said = f"HTTP {error.status}" if error.status is not None else _without(url, error)
        wait_s = error.retry_after_s
        if wait_s is None and error.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait_s = UNSAID_WAIT_S
        fix = FIX_REFUSED if error.status in (400, 404, 410) else error.fix
        failure = BackendError(error.kind, f"{label}: {said}", fix=fix, status=error.status, retry_after_s=wait_s)
    # Outside of the handler: no error that knows the URL is its context.
    raise failure


def _without(url: str, error: BackendError) -> str:
    if error.kind == "config":
        return "its URL or a header cannot be sent"
    said = error.message.removeprefix(redact_url(url)).removeprefix(": ")
    parts = {url, *url.replace("?", "/").replace("&", "/").replace("=", "/").split("/")[3:]}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= MIN_SECRET_CHARS:
            said = said.replace(part, "***")
    return said
