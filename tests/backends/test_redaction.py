"""No message holds a secret, in whatever form and at whatever length a server echoes it."""

import asyncio
import base64
import html
import json
import re
import urllib.parse
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backends import redaction
from backends.aws.access import AwsSession
from backends.aws.errors import aws_error
from backends.checks.findings import Findings, critical
from backends.commands import run_bounded
from backends.credentials import ServerAccess
from backends.errors import BackendError
from backends.http import Http
from backends.kubernetes.api import KubernetesApi
from backends.logs.loki import tail as loki_tail
from backends.ports import LogQuery
from backends.redaction import learn, quoted, redacted
from backends.registry import AdapterContext, build
from backends.settings import Secret
from tests.backends.faulty_server import FaultyServer, Received

SECRET = "s3cr3t\"TOKEN/va+lue &x='9"  # with what JSON, URLs, HTML and Python write otherwise
PLAIN = "s3cr3tTOKENvaluex9"


def leaks(text: str, *secrets: str) -> list[str]:
    """What of `secrets` is in `text`: any six characters of one, plain or in base64."""
    forms = [form for secret in secrets for form in (secret, base64.b64encode(secret.encode()).decode().rstrip("="))]
    return [form[at : at + 6] for form in forms for at in range(len(form) - 5) if form[at : at + 6] in text]


FORMS: list[Callable[[str], str]] = [
    str,
    lambda text: json.dumps(text),
    lambda text: json.dumps(text).replace("/", "\\/"),
    lambda text: json.dumps(text).replace("&", "\\u0026"),
    repr,
    html.escape,
    lambda text: urllib.parse.quote(text, safe=""),
    lambda text: urllib.parse.quote(text),
    urllib.parse.quote_plus,
    lambda text: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(text, safe="")),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("known", [True, False])
def test_every_form_of_a_secret_goes(form: Callable[[str], str], known: bool) -> None:
    if known:
        learn(SECRET)
    text = f"you sent {form(SECRET)}, which is wrong"
    said = quoted(text, 500, () if known else (SECRET,))
    assert said.startswith("you sent ")
    assert said.endswith(", which is wrong")
    assert leaks(said, SECRET, form(SECRET)) == []


@pytest.mark.parametrize(
    "form", [str.upper, str.lower, str.swapcase, str.title, lambda text: text[::-1], lambda text: text[::-1].upper()]
)
def test_letters_of_another_case_and_another_direction_hide_no_secret(form: Callable[[str], str]) -> None:
    for secret in (SECRET, PLAIN):
        said = redacted(f"you sent {form(secret)}, which is wrong", (secret,))
        assert leaks(said, form(secret)) == []
        assert (said[:9], said[-16:]) == ("you sent ", ", which is wrong")
    umlaut = "gr\u00fc\u00dfe9Sch\u00f6n"
    assert redacted(f"{umlaut.upper()} {umlaut[::-1]}", (umlaut,)) == "*** ***"
    assert redacted("production is down", ("Production",)) == "production is down", "a word of ours"


@pytest.mark.parametrize("before", range(150, 205))
def test_what_a_cut_leaves_of_a_secret_goes_too(before: int) -> None:
    learn(PLAIN)
    error = BackendError("auth", quoted("x" * before + PLAIN + " is wrong"))
    assert leaks(error.message, PLAIN) == []
    cut_first = BackendError("auth", ("x" * before + PLAIN)[:199] + "…", fix=("y" * before + PLAIN)[:199] + "…")
    assert [leak for leak in leaks(cut_first.message + cut_first.fix, PLAIN) if leak != PLAIN[:6]] == []


@pytest.mark.parametrize("mark", ["\u2026", "..."])
def test_what_somebody_else_has_cut_goes_too(mark: str) -> None:
    learn(PLAIN)
    assert redacted(f"bad token {PLAIN[:8]}{mark}") == f"bad token ***{mark}"


@pytest.mark.parametrize(
    ("value", "gone", "stays"),
    [
        ("postgresql://teal:hunter2pass@db.example/main?sslmode=require", "hunter2pass", "db.example/main require"),
        ("postgresql://teal:hunter%40pass@db.example/main", "hunter@pass", "db.example"),
        ("host=db.example user=teal password=hunter2pass", "hunter2pass", "db.example"),
        ("host=db.example password='hunter2 pass'", "hunter2 pass", "db.example"),
        ("redis://:hunter2pass@cache.example:6379/0", "hunter2pass", "cache.example:6379"),
        ("https://hunter2token@api.example/x", "hunter2token", "api.example/x"),
        ("https://api.example/x?api_key=hunter2token&team=analytics", "hunter2token", "analytics api.example"),
        ("https://hooks.example/services/T0/B0/aB3xaB3xaB3xaB3xaB3x", "aB3xaB3xaB3xaB3xaB3x", "hooks.example/services"),
        ('{"see": "https://x.example", "token": "t0ken"}', '{"see": "https://x.example", "token": "t0ken"}', "token"),
    ],
)
def test_of_an_address_only_the_secret_parts_go(value: str, gone: str, stays: str) -> None:
    learn(value)
    said = redacted(f"{stays}: {gone}")
    assert said == f"{stays}: ***"


@pytest.mark.parametrize("word", ["secret", "password", "production", "team"])
def test_a_word_of_ours_is_no_secret_everywhere(word: str) -> None:
    learn(word)
    assert redacted(f"a {word}, as it is") == f"a {word}, as it is"
    assert redacted(f"you sent {word}", [word]) == "you sent ***"


async def test_whatever_a_reference_leads_to_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BY_ENV", "by-env-s3cret")
    (tmp_path / "secret").write_text("by-file-s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    Secret(env="BY_ENV")  # also where nobody resolves it: a command may print its environment
    await Secret(file="secret").resolve(tmp_path)
    await Secret(command=("/bin/echo", "by-command-s3cret")).resolve(tmp_path)
    assert redacted("by-env-s3cret by-file-s3cret by-command-s3cret") == "*** *** ***"
    assert critical("x", "by-env-s3cret").message == "***"
    findings = Findings("x")
    findings.fault("critical", "said by-env-s3cret")
    assert findings.result("fine").message == "said ***"


async def test_the_output_of_a_command_is_redacted_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_KEY", PLAIN)
    Secret(env="DEPLOY_KEY")
    for before in (0, 290, 16 * 1024 - 10):
        script = f'printf "%0{before}d%s\\n" 0 {PLAIN}; printf "%0{16 * 1024 - 30}d" 0; exit 3'
        end = await run_bounded(["/bin/sh", "-c", script], tmp_path, timeout_s=10)
        assert leaks(" ".join(end.output) + end.why, PLAIN) == []


# ---- servers that quote the request


def echoing(shape: Callable[[str], Any], status: int, before: int) -> Callable[[Received], tuple[int, Any]]:
    def answer(request: Received) -> tuple[int, Any]:
        said = request.headers.get("authorization", "") + " " + request.headers.get("x-api-key", "") + request.target
        return status, shape("x" * before + f"bad ['{said}'] {said!r} {json.dumps(said)}")

    return answer


async def alertmanager(context: AdapterContext, url: str) -> None:
    source: Any = build("alerts", "alertmanager", {"url": url, "auth": BASIC}, context)
    await source.list_alerts()


async def loki(context: AdapterContext, url: str) -> None:
    source: Any = build("logs", "loki", {"url": url, "query": '{a="b"}', "auth": BASIC}, context)
    await source.query(LogQuery())


async def airflow(context: AdapterContext, url: str) -> None:
    source: Any = build("pipelines", "airflow", {"url": url, "auth": BASIC}, context)
    await source.pipelines()


async def elasticsearch(context: AdapterContext, url: str) -> None:
    headers = {"Authorization": {"env": "HEADER"}, "X-Api-Key": {"env": "PASSWORD"}}
    source: Any = build("logs", "elasticsearch", {"url": url, "index": "a", "headers": headers}, context)
    await source.query(LogQuery())


async def github(context: AdapterContext, url: str) -> None:
    config = {"url": url, "repo": "a/b", "auth": {"token": {"env": "PASSWORD"}}}
    source: Any = build("pipelines", "github", config, context)
    await source.pipelines()


async def prometheus(context: AdapterContext, url: str) -> None:
    await build("metrics", "prometheus", {"url": url, "auth": BASIC}, context).instant("up")


async def prometheus_range(context: AdapterContext, url: str) -> None:
    source: Any = build("metrics", "prometheus", {"url": url, "auth": BASIC}, context)
    now = datetime.now(UTC)
    await source.range("up", start=now - timedelta(minutes=1), end=now, step=15)


async def blackbox(context: AdapterContext, url: str) -> None:
    config = {"url": url, "target": "https://example.com", "module": "http_2xx", "auth": BASIC}
    source: Any = build("checks", "blackbox", config, context)
    await source.run()


async def kubernetes(context: AdapterContext, url: str) -> None:
    config = {
        "current-context": "x", "clusters": [{"name": "x", "cluster": {"server": url}}],
        "users": [{"name": "x", "user": {"username": "oncall", "password": PLAIN}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }  # fmt: skip
    (context.base_dir / "kubeconfig").write_text(json.dumps(config))
    (context.base_dir / "kubeconfig").chmod(0o600)
    api = KubernetesApi(kubeconfig="kubeconfig", context="", namespace="", base_dir=context.base_dir)
    try:
        await api.get("/api/v1/pods", dict[str, Any])
    finally:
        await api.aclose()


BASIC = {"username": "oncall", "password": {"env": "PASSWORD"}}
SHAPES: list[tuple[Callable[..., Any], Callable[[str], Any]]] = [
    (alertmanager, lambda said: {"code": 400, "message": said}),
    (loki, lambda said: said),
    (airflow, lambda said: {"title": "x", "detail": said}),
    (airflow, lambda said: {"detail": [{"loc": ["body", "x"], "msg": said}]}),
    (elasticsearch, lambda said: {"error": {"type": "x", "reason": said}}),
    (
        elasticsearch,
        lambda said: {"error": {"reason": "y", "root_cause": [{"type": "z", "reason": said}]}},
    ),
    (github, lambda said: {"message": said}),
    (prometheus, lambda said: {"status": "error", "errorType": "bad_data", "error": said}),
    (prometheus_range, lambda said: {"status": "error", "errorType": "bad_data", "error": said}),
    (blackbox, lambda said: said),
    (kubernetes, lambda said: {"message": said}),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("status", [400, 401, 422, 500])
@pytest.mark.parametrize(("ask", "shape"), SHAPES)
async def test_a_server_that_echoes_the_credentials(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Any, shape: Any, status: int, known: bool
) -> None:
    monkeypatch.setenv("PASSWORD", PLAIN)
    monkeypatch.setenv("HEADER", f"ApiKey {PLAIN}")
    if not known:  # of one process alone; what an adapter sends itself it must know without
        monkeypatch.setattr(redaction, "MIN_CHARS", 10_000)
    async with FaultyServer() as server:
        for before in (0, 120, 170, 180, 185, 190, 195, 275, 285, 295):
            server.answer = echoing(shape, status, before)
            with pytest.raises(BackendError) as caught:
                await ask(AdapterContext("x", tmp_path, tmp_path, http), server.url)
            assert leaks(caught.value.message + caught.value.fix, PLAIN, f"oncall:{PLAIN}") == []


async def http_check(context: AdapterContext, url: Any) -> None:
    source: Any = build("checks", "http", {"url": url, "expect": {"json": {"a": 1}}}, context)
    raise BackendError("failed", (await source.run()).message)


async def webhook(context: AdapterContext, url: Any) -> None:
    source: Any = build("notify", "webhook", {"url": url}, context)
    await source.dry_run()
    raise BackendError("failed", "somebody is there")


HOOK = "/hook/HSecret4/v1"
HOOKED: list[Callable[[AdapterContext, Any], Any]] = [
    loki, airflow, elasticsearch, prometheus, prometheus_range, blackbox, http_check, webhook,
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "way"), [*((ask, "env") for ask in HOOKED), (http_check, "file"), (http_check, "command")]
)
async def test_of_a_url_that_a_reference_leads_to_only_scheme_and_host_are_said(
    http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Any], way: str
) -> None:
    monkeypatch.setenv("PASSWORD", PLAIN)
    monkeypatch.setenv("HEADER", f"ApiKey {PLAIN}")
    async with FaultyServer() as server:
        url = server.url + HOOK + ("?nr=QuerySecret5" if ask in (http_check, webhook) else "")
        monkeypatch.setenv("URL", url)
        (tmp_path / "url").write_text(url)
        (tmp_path / "url").chmod(0o600)
        reference = {"env": {"env": "URL"}, "file": {"file": "url"}, "command": {"command": ["/bin/echo", url]}}[way]
        for status in (200, 302, 404, 500):
            server.extra_headers = {"location": f"{url}/"} if status == 302 else {}
            server.answer = echoing(lambda said: {"message": said, "error": said, "status": "error"}, status, 0)
            with pytest.raises(BackendError) as caught:
                await ask(AdapterContext("x", tmp_path, tmp_path, http), reference)
            assert leaks(caught.value.message + caught.value.fix, "HSecret4", "QuerySecret5") == [], status
        await server.stop()
        with pytest.raises(BackendError) as caught:
            await ask(AdapterContext("x", tmp_path, tmp_path, http), reference)
        assert leaks(caught.value.message + caught.value.fix, "HSecret4", "QuerySecret5") == []


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example/s/a-b", "https://hooks.example/***"),
        ("https://HOOKS.example:443/s/a-b/", "https://HOOKS.example:443/***/"),
        ("https://u:p@hooks.example/s/a-b/api/v1/query?x=1", "https://hooks.example/***/api/v1/query"),
        ("wss://hooks.example/s/%61-b/tail", "wss://hooks.example/***/tail"),
        ("https://hooks.example/s/other", "https://hooks.example/***/other"),
        ("https://hooks.example/status", "https://hooks.example/status"),
        ("https://other.example/s/a-b", "https://other.example/s/a-b"),
    ],
)
def test_what_an_address_shows(url: str, shown: str) -> None:
    redaction.learn_address("https://hooks.example/s/a-b")
    assert redaction.redact_url(url) == shown


def test_the_name_of_a_database_is_said() -> None:
    redaction.learn_address("postgresql://u:p@db.example:5432/shop")
    assert redacted("db.example:5432/shop: connection refused") == "db.example:5432/shop: connection refused"


def test_an_address_in_a_text() -> None:
    redaction.learn_address("http://hooks.example:81/s/a b/?c=d")
    for written in ("s/a%20b/?c=d", "s/a%20b", "s/a b?c=d"):
        assert redacted(f"at http://Hooks.example:81/{written}: refused") == "at http://Hooks.example:81/***: refused"
    assert redacted("http://hooks.example:81/status, not /s/") == "http://hooks.example:81/status, not /s/"


def test_words_of_an_address_are_none_of_its_secrets() -> None:
    redaction.learn_address("http://prometheus.example:9090/prometheus/api/v1")
    said = "http://other.example/prometheus/api/v1/query: bad"
    assert redacted(said) == said


async def test_a_lines_error_and_a_bad_answer_do_not_quote_the_token(http: Http) -> None:
    async with FaultyServer() as server:
        server.answer = echoing(lambda said: {"a": said}, 400, 180)
        async with aclosing(http.lines(server.url, headers={"authorization": f"Bearer {PLAIN}"})) as lines:
            with pytest.raises(BackendError) as caught:
                await anext(lines)
        assert leaks(caught.value.message, PLAIN) == []
        assert "***" in caught.value.message


async def test_what_is_asked_for_is_named_in_the_answer(http: Http) -> None:
    name = "app-5f7c9d8b6-abcde12345"
    async with FaultyServer() as server:
        server.answer = lambda request: (404, {"message": f'pods "{name}" not found'})
        with pytest.raises(BackendError, match=rf'{name}\\" not found'):
            await http.request("GET", f"{server.url}/pods/{name}")


async def test_a_redirect_to_an_echo_is_redacted(http: Http) -> None:
    async with FaultyServer() as server:
        for before in (0, 250, 270, 280):
            server.status, server.extra_headers = 302, {"location": f"https://login.example/{'x' * before}/{PLAIN}?a"}
            with pytest.raises(BackendError) as caught:
                await http.request("GET", server.url, headers={"authorization": f"Bearer {PLAIN}"})
            assert leaks(caught.value.message, PLAIN) == []


async def test_a_session_token_of_aws_is_known_once_it_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    from backends.aws.access import AwsAccess

    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "x" * 20, "aws_session_token": PLAIN}
    async with FaultyServer() as server:

        def answer(request: Received) -> tuple[int, Any]:
            said = "x" * 180 + request.headers["x-amz-security-token"]
            return 403, f"<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>"

        server.answer = answer

        def listed() -> BackendError:
            access = AwsAccess(endpoint_url=server.url, region="x")
            client = AwsSession(access, keys, timeout_s=3).client("s3", attempts=1)
            try:
                client.list_buckets()
            except Exception as error:
                return aws_error(error, "s3://x")
            raise AssertionError

        error = await asyncio.to_thread(listed)
    assert (error.kind, leaks(error.message, PLAIN)) == ("auth", [])


@pytest.fixture
async def silent() -> AsyncIterator[str]:
    async def quote(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 " + request.partition(b"uthorization: ")[2].partition(b"\r\n")[0] + b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(quote, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_websocket_that_is_refused_quotes_nothing(silent: str) -> None:
    with pytest.raises(BackendError) as caught:
        async for _ in loki_tail.frames(f"{silent}/tail?x", ServerAccess("", {}, ("oncall", PLAIN)), 3.0):
            pass
    assert leaks(caught.value.message, PLAIN, f"oncall:{PLAIN}") == []
