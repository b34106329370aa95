"""`backends.http` against a real server that fails in every way known."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import msgspec
import pytest

from backends.errors import BackendError
from backends.http import Http, connection_words, decode_json
from backends.redaction import redact_url
from tests.backends.faulty_server import FaultyServer
from tests.own_time import Watch

SECRET = "hunter2-s3cret"


class Health(msgspec.Struct):
    status: str


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as server:
        yield server


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda least, most: 0.0)  # the jitter between attempts


async def failure(work: Awaitable[object]) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await work
    return caught.value


async def test_answer_of_a_healthy_server(server: FaultyServer, http: Http) -> None:
    answer = await http.get(server.url + "/health", params={"a": "b c"}, headers={"x-one": "1"})
    assert answer.status == 200
    assert answer.decode(Health).status == "healthy"
    assert answer.headers["content-type"] == "application/json"
    assert 0 < answer.seconds < 5
    assert server.requests[0].target == "/health?a=b+c"
    assert server.requests[0].headers["x-one"] == "1"
    assert server.requests[0].headers["user-agent"] == "tealdeck"


async def test_json_is_sent_with_its_type(server: FaultyServer, http: Http) -> None:
    await http.request("POST", server.url, json={"a": [1, None]}, auth=("u", "p"))
    request = server.requests[0]
    assert (request.body, request.headers["content-type"]) == (b'{"a":[1,null]}', "application/json")
    assert request.headers["authorization"] == "Basic dTpw"


@pytest.mark.parametrize(
    ("fault", "kind", "words", "attempts"),
    [
        ("400", "malformed", "HTTP 400", 1),
        ("401", "auth", "HTTP 401", 1),
        ("403", "auth", "HTTP 403", 1),
        ("404", "not_found", "HTTP 404", 1),
        ("409", "conflict", "HTTP 409", 1),
        ("429", "rate_limited", "HTTP 429", 3),
        ("500", "unreachable", "HTTP 500", 1),
        ("502", "unreachable", "HTTP 502", 3),
        ("503", "unreachable", "HTTP 503", 3),
        ("504", "timeout", "HTTP 504", 3),
        ("html 503", "unreachable", "HTTP 503", 3),
        ("no answer", "unreachable", "connection lost", 3),
        ("truncated body", "unreachable", "connection lost", 3),
        ("reset", "unreachable", "connection", 3),
        ("redirect", "malformed", "HTTP 302 to https://login.example.com/sso, which is not followed", 1),
        ("not HTTP", "malformed", "illegal status line", 1),
        ("bad gzip", "malformed", "incorrect header", 1),
        ("huge", "malformed", "more than 32 MB", 1),
    ],
)
@pytest.mark.usefixtures("no_waiting")
async def test_each_fault_has_its_kind_and_gets_are_retried_where_that_may_help(
    server: FaultyServer, http: Http, fault: str, kind: str, words: str, attempts: int
) -> None:
    server.fault = fault
    server.extra_headers = {"retry-after": "0"} if fault == "429" else {}
    error = await failure(http.get(server.url + "/api?token=" + SECRET))
    assert (error.kind, len(server.requests)) == (kind, attempts)
    assert words in error.message
    assert error.message.startswith(server.url + "/api")
    assert error.fix
    assert SECRET not in error.message
    assert "hunter2" not in error.message


@pytest.mark.parametrize("fault", ["429", "502", "503", "504", "no answer", "reset", "truncated body"])
async def test_a_post_is_never_repeated(server: FaultyServer, http: Http, fault: str) -> None:
    server.fault = fault
    await failure(http.request("POST", server.url, json={}))
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("fault", ["503", "504", "reset", "truncated body"])
async def test_a_get_survives_a_passing_fault(server: FaultyServer, http: Http, fault: str) -> None:
    server.fault, server.faults_left = fault, 2
    assert (await http.get(server.url)).decode(Health).status == "healthy"
    assert len(server.requests) == 3


async def test_a_short_retry_after_is_waited_for(server: FaultyServer, http: Http) -> None:
    server.fault, server.faults_left = "429", 1
    began, watch = time.monotonic(), Watch()
    assert (await http.get(server.url)).status == 200
    assert time.monotonic() - began >= 1.0
    assert watch.seconds() < 3.0


@pytest.mark.parametrize("retry_after", ["60", "9" * 400, "a date"], ids=["60", "huge", "date"])
async def test_a_long_retry_after_is_reported_instead(server: FaultyServer, http: Http, retry_after: str) -> None:
    if retry_after == "a date":
        retry_after = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    server.fault, server.extra_headers = "429", {"retry-after": retry_after}
    error = await failure(http.get(server.url))
    assert error.retry_after_s is not None
    assert error.retry_after_s >= 60
    assert len(server.requests) == 1


@pytest.mark.usefixtures("no_waiting")
async def test_a_retry_after_that_is_nonsense_is_ignored(server: FaultyServer, http: Http) -> None:
    server.fault, server.extra_headers = "429", {"retry-after": "soon"}
    error = await failure(http.get(server.url))
    assert (error.retry_after_s, len(server.requests)) == (None, 3)


async def test_the_retry_after_of_a_server_does_not_outlast_the_timeout(server: FaultyServer, http: Http) -> None:
    server.fault, server.extra_headers = "429", {"retry-after": "4"}
    watch = Watch()
    assert (await failure(http.get(server.url, timeout=3.5))).kind == "rate_limited"
    assert watch.seconds() < 0.5


@pytest.mark.parametrize("fault", ["hang", "drip"])
async def test_the_whole_answer_is_bounded_in_time(server: FaultyServer, http: Http, fault: str) -> None:
    server.fault = fault
    watch = Watch()
    error = await failure(http.get(server.url, timeout=0.3))
    assert (error.kind, len(server.requests)) == ("timeout", 1)
    assert "no answer in 0.3 s" in error.message
    assert watch.seconds() < 1.5


async def test_a_slow_answer_within_the_timeout_is_an_answer(server: FaultyServer, http: Http) -> None:
    server.fault = "slow"
    answer = await http.get(server.url)
    assert answer.seconds + answer.late_s >= server.slow_s


async def test_a_huge_answer_is_cut_off_while_it_comes(server: FaultyServer, http: Http) -> None:
    server.fault = "huge"
    error = await failure(http.request("GET", server.url))
    assert error.kind == "malformed"
    assert server.bytes_sent < 64 * 2**20


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("html", "an HTML page instead of JSON"),
        ("empty", "an empty answer instead of JSON"),
        ("truncated JSON", "truncated"),
        ("invalid UTF-8", "utf-8"),
    ],
)
async def test_what_is_no_json_is_named(server: FaultyServer, http: Http, fault: str, words: str) -> None:
    server.fault = fault
    answer = await http.get(server.url)
    with pytest.raises(BackendError, match=words) as caught:
        answer.decode(Health)
    assert caught.value.kind == "malformed"


def test_a_bad_field_is_named_by_its_path() -> None:
    class Page(msgspec.Struct):
        data: list[Health]

    with pytest.raises(BackendError, match=r"\$\.data\[3\]\.status") as caught:
        decode_json(
            b'{"data": [{"status": "a"}, {"status": "a"}, {"status": "a"}, {"status": 5}]}',
            Page,
            where="here",
        )
    assert caught.value.message.startswith("here: ")


def test_what_is_nested_too_deep_is_malformed() -> None:
    with pytest.raises(BackendError, match="here: JSON that is nested too deep") as caught:
        decode_json(b'{"status": "a", "more": ' + b"[" * 200_000, Health, where="here")
    assert caught.value.kind == "malformed"


async def test_statuses_can_be_accepted(server: FaultyServer, http: Http) -> None:
    server.fault = "503"
    assert (await http.get(server.url, accept_errors=True)).status == 503
    assert len(server.requests) == 1


async def test_nobody_listens(http: Http) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can take the port meanwhile
        taken.bind(("127.0.0.1", 0))
        error = await failure(http.get(f"http://127.0.0.1:{taken.getsockname()[1]}/", attempts=1))
    assert (error.kind, error.message.rpartition(": ")[2]) == ("unreachable", "connection refused")


async def test_a_host_that_does_not_exist(http: Http) -> None:
    error = await failure(http.get("http://nowhere.invalid/", attempts=1))
    assert (error.kind, error.message) == ("unreachable", "http://nowhere.invalid/: no such host")


@pytest.mark.parametrize("url", ["ftp://x/", "nonsense", "http://", "http://\x00/", "http://xn--/", "http://[::1/"])
async def test_an_impossible_url_is_a_matter_of_the_config(http: Http, url: str) -> None:
    error = await failure(http.get(url))
    assert error.kind == "config"
    assert error.message.isprintable()


@pytest.mark.parametrize("value", [f"Bearer {SECRET}\nx", f"Bearer {SECRET}é"])
async def test_a_header_that_cannot_be_sent_is_not_quoted(server: FaultyServer, http: Http, value: str) -> None:
    error = await failure(http.get(server.url, headers={"authorization": value}))
    assert error.kind == "config"
    assert SECRET not in error.message + error.fix
    assert server.requests == []


async def test_a_server_that_quotes_the_request_does_not_spread_secrets(server: FaultyServer, http: Http) -> None:
    server.fault = "echo"
    for headers in ({"x-api-key": SECRET}, {"authorization": f"Bearer {SECRET}"}):
        error = await failure(http.get(server.url, headers=headers))
        assert "***" in error.message
        assert SECRET not in error.message
    error = await failure(http.get(f"http://oncall:{SECRET}@127.0.0.1:{server.port}/x"))
    assert SECRET not in error.message
    assert "oncall" not in error.message


async def test_escape_sequences_of_a_server_do_not_reach_a_message(server: FaultyServer, http: Http) -> None:
    server.fault = "escapes"
    error = await failure(http.get(server.url))
    assert error.message.isprintable()
    assert error.message.endswith('"red RTL"}')


def test_an_untrusted_certificate_is_named() -> None:
    error = ssl.SSLCertVerificationError(1, "…")
    error.verify_message = "self-signed certificate"
    assert connection_words(error) == "certificate not trusted: self-signed certificate"


async def test_a_missing_ca_bundle_is_a_matter_of_the_config(tmp_path: object) -> None:
    error = await failure(Http(verify=f"{tmp_path}/ca.pem").get("https://127.0.0.1:1/"))
    assert error.kind == "config"
    assert "ca.pem" in error.message


async def test_loopback_never_goes_by_a_proxy(server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    http = Http()
    try:
        assert (await http.get(server.url)).status == 200
    finally:
        await http.aclose()


async def test_a_proxy_that_makes_no_sense_is_a_matter_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "bogus://x")
    monkeypatch.setenv("http_proxy", "bogus://x")
    assert (await failure(Http().get("http://127.0.0.1:1/"))).kind == "config"


async def test_closing_twice_and_using_it_again(server: FaultyServer, http: Http) -> None:
    await http.get(server.url)
    await http.aclose()
    await http.aclose()
    assert (await http.get(server.url)).status == 200


async def test_a_cancelled_request_lets_go_of_the_connection(server: FaultyServer, http: Http) -> None:
    server.fault = "hang"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await http.get(server.url)
    server.fault = ""
    assert (await http.get(server.url)).status == 200


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@host:1/path?token=x#f", "https://host:1/path"),
        ("https://u:p@ss@host/", "https://host/"),
        ("http://host/\x1b[31mred", "http://host/red"),
        ("http://[::1", "(not a URL)"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert redact_url(url) == shown


class Row(msgspec.Struct):
    name: str
    count: int = 3
    tags: list[str] = []


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (b'{"name": "a", "count": null, "tags": null, "more": null}', Row("a")),
        (b'{"name": "a", "count": 4, "tags": null}', Row("a", 4)),
    ],
)
def test_a_null_where_none_is_known_is_no_field(body: bytes, row: Row) -> None:
    assert decode_json(body, Row, where="x") == row
    assert decode_json(b"[" + body + b"]", list[Row], where="x") == [row]


@pytest.mark.parametrize("body", [b'{"name": null}', b'{"name": "a", "tags": ["b", null]}', b"null", b"[null]"])
def test_a_null_that_something_is_needed_for_is_malformed(body: bytes) -> None:
    shape = list[Row] if body == b"[null]" else Row
    with pytest.raises(BackendError, match="got `null`"):
        decode_json(body, shape, where="x")
