"""What every deployment adapter shares: the fields of its config entry, health with proof of identity, fresh probes."""

import ssl
import time
from collections.abc import Iterable, Sequence, Set
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from backends.environment import Variable
from backends.errors import BackendError
from backends.http import Answer, Http, connection_words
from backends.json_text import decode_text
from backends.misfits import NAMING_SIDES, without_misfits
from backends.models import ColorState, Truth, TruthLayer
from backends.ports import ProbeTarget
from backends.redaction import quoted, redact_url, redacted
from backends.settings import Duration, decode_hook
from backends.stopwatch import LONGEST, Stopwatch, timed
from backends.text import clean
from backends.tls import untrusting
from backends.urls import port_problem

if TYPE_CHECKING:
    import httpx

DEFAULT_COLORS = ("blue", "green")
HEALTH_TIMEOUT_S = 3.0
SLOW_S = 0.5
PROBE_TIMEOUT_S = 2.0
_VERSION_BYTES = 65_536
_NOBODY_COULD_LOOK = frozenset({"config", "auth", "internal"})


class DeploymentConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields that every deployment entry may have. Those of gates and stages stay plain data here.

    probe: where a fresh request through the load balancer proves which color answers.
    health: the health URL of each color, asked directly; its names are the colors. Healthy is HTTP 200 with the JSON
        `{"status": "healthy"}` and the color in the header of `probe` or as `environment`; `version` is what it runs.
    exposition: the metrics URL of each color: requests per second, errors and p95 of the panel.
    smoke: a command that tests the idle color before it gets traffic; {url} is that color's base URL, of `ecs-native`
        and `codedeploy` that of `preview`.
    stages: percentages of traffic by strategy, as `{ canary = [5, 25, 50, 100] }`.
    stage_time: how long each stage is judged.
    bake: how long all traffic is judged before the action ends.
    rollback_window: for how long after a switch the old color is taken to be able to carry the traffic again.
    presets: gates that are there to be named: `error-rate`, `latency-p95`; of a load balancer of AWS, in CloudWatch,
        `alb-error-rate`, `alb-latency-p95`, `alb-5xx`.
    metrics: the metrics entry that gates ask unless they name another.
    gates: what each stage and the bake is judged by.
    preset_labels: the label matchers of the presets, with templates.
    requires: what of the rest of the platform has to be well before traffic moves.
    deploy: the command that puts {version} on {color}, where the system has no deployments of its own.
    retire: the command that takes {color} down: `teal deploy retire`.
    env: variables that the commands of the entry get besides PATH, HOME, LANG, LC_*, TZ and TEAL_*.
    probe_timeout: an answer to `probe` or `health` that takes longer counts as none.
    """

    probe: ProbeTarget | None = None
    health: dict[str, str] = field(default_factory=dict)
    exposition: dict[str, str] = field(default_factory=dict)
    smoke: tuple[str, ...] = ()
    stages: dict[str, tuple[int, ...]] = field(default_factory=dict)
    stage_time: Duration = Duration(600)
    bake: Duration = Duration(300)
    rollback_window: Duration = Duration(1800)
    presets: tuple[str, ...] = ()
    metrics: str = ""
    gates: tuple[dict[str, Any], ...] = ()
    preset_labels: dict[str, str] = field(default_factory=lambda: {"color": "{color}"})
    requires: dict[str, Any] = field(default_factory=dict)
    deploy: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()
    env: tuple[Variable, ...] = ()
    probe_timeout: Duration = Duration(2)

    @property
    def colors(self) -> tuple[str, ...]:
        """The two sides, in the order of the config."""
        return tuple(self.health) or tuple(self.exposition) or DEFAULT_COLORS

    def writes(self, base_dir: Path) -> frozenset[str]:
        """What a switch by this entry writes, each in words: entries that share one move the same traffic. Empty where
        the entry alone does not say. Nothing is asked. Raises BackendError(config) for a path that can be none."""
        return frozenset()


class SharedSettings(DeploymentConfig, frozen=True, kw_only=True):
    """The same of an entry whose adapter names its sides by other fields; `sides` are those names."""

    sides: tuple[str, ...] = ()

    @property
    def colors(self) -> tuple[str, ...]:
        """As the adapter calls them."""
        return self.sides or super().colors


_SHARED = frozenset(found.encode_name for found in msgspec.structs.fields(DeploymentConfig))


def shared_settings(data: dict[str, Any], sides: Sequence[str] = ()) -> DeploymentConfig:
    """The fields of `DeploymentConfig` in the entry of any adapter; `sides`: of one that always has the same. Raises
    BackendError(config)."""
    shared = {key: value for key, value in data.items() if key in _SHARED}
    shared, _ = without_misfits("deployments", shared, DeploymentConfig)
    sides = sides or next((list(data[key]) for key in NAMING_SIDES if isinstance(data.get(key), dict)), [])
    try:
        return msgspec.convert({**shared, "sides": sides}, SharedSettings, dec_hook=decode_hook)
    except msgspec.ValidationError as error:
        raise BackendError("config", f"deployments: {error}") from None


def own_settings(data: dict[str, Any]) -> dict[str, Any]:
    """The other fields: those of its adapter, which say what is written and how that is reached."""
    return {key: value for key, value in data.items() if key not in _SHARED}


def colors_problem(health: Iterable[str], sides: Iterable[str], of: str) -> str:
    """Why the colors of `health` are not those of the field `of`; empty where they are, or where `health` is empty."""
    mine, theirs = list(health), list(sides)
    if not mine or set(mine) == set(theirs):
        return ""
    return f"health and {of}: not the same colors: {', '.join(mine)} in health, {', '.join(theirs)} in {of}"


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What one fresh request saw: the color that answered, or why that is not known. `at` is `time.monotonic()`.

    `named` is the color that an answer names which is no proof, as an error; `reached` is False where nothing listens
    at the URL, or it breaks the connection off: the load balancer itself fails then, whatever is behind it.
    """

    color: str | None
    error: str = ""
    at: float
    seconds: float = 0.0
    named: str = ""
    reached: bool = True


WANTED = 'wanted: HTTP 200 and JSON, {"status": "healthy", "version": "…", "environment": "COLOR"}'
"""What a health URL answers, in words (docs/reference.md)."""
_UNHEALTHY = "unhealthy"  # the word of a side that knows what is wanted


class _Health(Struct):
    status: Any = None
    version: Any = None
    environment: Any = None
    detail: Any = None


async def color_health(
    http: Http,
    color: str,
    url: str,
    *,
    header: str = ProbeTarget(url="").header,
    timeout_s: float = HEALTH_TIMEOUT_S,
    others: Iterable[str] = (),
) -> ColorState:
    """One side asked directly. Healthy: HTTP 200, JSON `status` exactly "healthy", and proof that it is `color`, and
    none of `others`.

    `healthy` is False where it said no or is not there, None where the answer proves nothing. One that took
    `SLOW_S` says so in its `detail`: nobody else measures a side without traffic. Never raises.
    """
    try:
        with Stopwatch() as watch:
            answer = await http.request(
                "GET", url, timeout=timeout_s, accept_errors=True,
                # A connection that is kept stays with the process it met, also when a balancer has long left that.
                headers={"cache-control": "no-cache", "connection": "close"},
            )  # fmt: skip
            took_s = watch.took().seconds
    except BackendError as error:
        return ColorState(healthy=None if error.kind in _NOBODY_COULD_LOOK else False, detail=error.message)
    found = _judge(answer, color, header, {other.casefold() for other in others} - {color.casefold()})
    slow = f"{found.detail} in {took_s * 1000:.0f} ms" if found.healthy and took_s >= SLOW_S else found.detail
    return replace(found, detail=slow)


def _is_json(body: bytes) -> bool:
    try:
        decode_text(body, object)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _judge(answer: Answer, color: str, header: str, others: Set[str] = frozenset()) -> ColorState:
    where = answer.url
    location = clean(redact_url(redacted(answer.headers.get("location", ""))), 200)
    redirected = f"{where}: redirected (HTTP {answer.status})" + (f" to {location}" if location else "")
    try:
        health = answer.decode(_Health)
    except BackendError as error:
        healthy = False if answer.status >= 400 else None
        if 300 <= answer.status < 400:
            return ColorState(healthy=healthy, detail=f"{redirected}; {WANTED}")
        wanted = "" if answer.status >= 400 else f"; {WANTED}"
        said = "not as it should be" if _is_json(answer.body) else "not JSON"
        return ColorState(healthy=healthy, detail=f"HTTP {answer.status}, {said}: {error.message}{wanted}")
    is_odd = health.version is not None and type(health.version) not in (str, int, float)
    version = clean(str(health.version), 128) if health.version is not None and not is_odd else None
    if answer.status != 200 or health.status != "healthy":
        if 300 <= answer.status < 400:
            return ColorState(version=version, healthy=None, detail=redirected)
        why = f": {quoted(str(health.detail))}" if health.detail else ""
        said = f"HTTP {answer.status}, {_status_words(health.status, answer.status)}"
        return ColorState(version=version, healthy=False, detail=f"{said}{why}")
    if is_odd:
        odd = clean(str(health.version), 64)
        return ColorState(healthy=None, detail=f'{where}: "version" is neither text nor a number: {odd}; {WANTED}')
    if problem := _of_a_cache(answer.headers.get("age", "")):
        return ColorState(version=version, healthy=None, detail=f"{where}: {problem}")
    in_header = answer.headers.get(header.lower())
    said = in_header or health.environment
    if in_header and str(health.environment).casefold() in others - {in_header.casefold()}:
        named = f"{clean(in_header, 64)} in the header {header}, and {clean(str(health.environment), 64)}"
        return ColorState(version=version, healthy=None, detail=f'{where}: says {named} as "environment" in its JSON')
    if not said:
        words = f'does not say which color it is: wanted in the header {header}, or as "environment" in its JSON'
        return ColorState(version=version, healthy=None, detail=f"{where}: {words}")
    if str(said).casefold() != color.casefold():
        return ColorState(version=version, healthy=False, detail=f"{where}: answers as {clean(str(said), 64)}")
    return ColorState(version=version, healthy=True, detail="healthy")


def _status_words(status: Any, http_status: int) -> str:
    """What it said, and what is wanted where it does not speak as is wanted."""
    if status is None:
        return f'no "status" in its JSON; {WANTED}' if http_status == 200 else 'no "status" in its JSON'
    words = f"status {clean(str(status), 64)}"
    return words if http_status != 200 or status == _UNHEALTHY else f'{words} (wanted: "healthy")'


async def fresh_probe(target: ProbeTarget, timeout_s: float = PROBE_TIMEOUT_S) -> ProbeResult:
    """Which color answers a request on a connection of its own, past every cache. Never raises."""
    began = time.monotonic()
    try:
        response, _ = await fresh_request(target.url, timeout_s=timeout_s)
    except BackendError as error:
        return _failed(began, error.message, reached=error.kind != "unreachable")
    return _read_probe(target, response, began)


async def fresh_version(target: ProbeTarget, timeout_s: float = PROBE_TIMEOUT_S) -> ProbeResult:
    """As `fresh_probe`, of a service that has a controller: `color` is the version that answers. Never raises."""
    began, where = time.monotonic(), redact_url(target.url)
    try:
        response, body = await fresh_request(
            target.url, read=_VERSION_BYTES if target.version_json else 0, timeout_s=timeout_s
        )
    except BackendError as error:
        return _failed(began, error.message, reached=error.kind != "unreachable")
    told = response.headers.get(target.names_version, "")
    if target.version_json:
        told = _named_in(body, target.version_json)
    version = clean(told, 128).strip()
    if problem := _no_proof(response, where):
        return _failed(began, problem, named=version)
    if not version:
        named = f'"{target.version_json}" in its JSON' if target.version_json else f"header {target.names_version}"
        return _failed(began, f"{where}: no {named} (wanted: HTTP 200 with the version in it)")
    now = time.monotonic()
    return ProbeResult(color=version, at=now, seconds=now - began)


def _named_in(body: bytes, key: str) -> str:
    try:
        found = decode_text(body, dict[str, Any]).get(key)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return str(found) if isinstance(found, str | int | float) else ""


async def fresh_request(
    url: str, *, read: int = 0, timeout_s: float = PROBE_TIMEOUT_S
) -> "tuple[httpx.Response, bytes]":
    """The answer, whatever its status, to a request on a connection of its own, past every cache, without cookies,
    proxies or redirects; and the first `read` bytes of its body, as they are. Raises BackendError."""
    import httpx

    try:
        where = httpx.URL(url).copy_merge_params({"teal-probe": f"{time.time_ns():x}"})
        request = httpx.Request(
            "GET", where,
            headers={"cache-control": "no-cache", "connection": "close", "accept": "*/*", "user-agent": "tealdeck"},
            extensions={"timeout": httpx.Timeout(LONGEST * timeout_s).as_dict()},
        )  # fmt: skip
        # A transport of its own is a new TCP connection.
        async with (
            timed(timeout_s),  # or the imports of a command that starts on a busy host count as a server that is silent
            httpx.AsyncHTTPTransport(verify=_tls(where.scheme)) as transport,
        ):
            response = await transport.handle_async_request(request)
            body = b""
            if read:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) >= read:
                        break
            await response.aclose()
            return response, body[:read]
    except (TimeoutError, httpx.TimeoutException):
        raise BackendError("timeout", f"{redact_url(url)}: no answer in {timeout_s:g} s") from None
    except ExceptionGroup as group:
        raise BackendError(
            "unreachable", f"{redact_url(url)}: {port_problem(url) or connection_words(group)}"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise BackendError("unreachable", f"{redact_url(url)}: {connection_words(error)}") from None


async def data_layer(
    target: ProbeTarget | None, colors: tuple[str, ...], timeout_s: float = PROBE_TIMEOUT_S
) -> TruthLayer:
    """What one fresh request says is live. Never raises."""
    if target is None:
        return TruthLayer(value="unknown", detail="no probe in the config", at=datetime.now(UTC))
    seen = await fresh_probe(target, timeout_s)
    now = datetime.now(UTC)
    if seen.color is None:
        return TruthLayer(value="unknown", detail=seen.error, at=now)
    if seen.color not in colors:
        return TruthLayer(value="unknown", detail=f"answered as {seen.color}, which is no color here", at=now)
    return TruthLayer(value=seen.color, detail=f"a fresh request took {seen.seconds * 1000:.0f} ms", at=now)


def live_color(truth: Truth) -> str:
    """A color where all layers that could be read agree; nothing is live on the word of fewer than the control."""
    known = {layer.value for layer in (truth.control, truth.endpoints, truth.data) if layer.value != "unknown"}
    if truth.control.value in ("unknown", "mixed"):
        return truth.control.value
    return truth.control.value if known == {truth.control.value} else "mixed"


def _read_probe(target: ProbeTarget, response: "httpx.Response", began: float) -> ProbeResult:
    where = redact_url(target.url)
    color = clean(response.headers.get(target.header, ""), 64).strip().casefold()
    if problem := _no_proof(response, where):
        return _failed(began, problem, named=color if response.status_code != 200 else "")
    if not color:
        return _failed(began, f"{where}: no header {target.header} (wanted: HTTP 200 with the color in it)")
    now = time.monotonic()
    return ProbeResult(color=color, at=now, seconds=now - began)


def _no_proof(response: "httpx.Response", where: str) -> str:
    """Why an answer proves nothing, whatever it names; empty where it does."""
    if response.status_code != 200:
        redirect = " (a redirect, which is not followed)" if 300 <= response.status_code < 400 else ""
        return f"{where}: HTTP {response.status_code}{redirect}"
    problem = _of_a_cache(response.headers.get("age", ""))
    return f"{where}: {problem}" if problem else ""


def _of_a_cache(age: str) -> str:
    """That an answer with this header says nothing of now; empty where it does."""
    age = age.strip()
    return "" if age in ("", "0") else f"answered from a cache (Age: {clean(age, 16)})"


def _failed(began: float, error: str, *, named: str = "", reached: bool = True) -> ProbeResult:
    now = time.monotonic()
    return ProbeResult(color=None, error=error, at=now, seconds=now - began, named=named, reached=reached)


@cache
def _tls(scheme: str) -> ssl.SSLContext:
    return ssl.create_default_context() if scheme == "https" else untrusting()
