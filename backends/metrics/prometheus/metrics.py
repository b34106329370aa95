"""Prometheus, 2.42 and newer, and what speaks its API: VictoriaMetrics, Thanos, Mimir, Cortex.

```toml
[[contexts.production.metrics]]
name = "prom"                           # what `metrics = "prom"` of quality, alerts and gates means
type = "prometheus"
url = "http://prometheus:9090"          # with the path prefix: https://mimir.internal/prometheus
auth = { username = "oncall", password = { env = "PROM_PASSWORD" } }   # or { token = … }
tenant = "team-a"                       # the header X-Scope-OrgID
headers = { X-Api-Key = { env = "API_KEY" } }
params = { partial_response = "false" } # go with every query
timeout = "10s"
```
Instant queries go by HTTP as all else does; range queries by prometheus-api-client, in two threads of their own.
"""

import asyncio
import re
import time
from datetime import datetime
from functools import partial

import msgspec
from msgspec import Struct

from backends.credentials import ServerAccess
from backends.errors import BackendError
from backends.imports import import_in_turn
from backends.metrics.prometheus.api import REFUSED_QUERY, Access, PrometheusApi, refuse_bad_server
from backends.metrics.prometheus.wire import READ_TYPES, QueryData, samples_of
from backends.metrics.promql import metric_names
from backends.ports import Sample, Series
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.settings import Secret
from backends.stopwatch import timed
from backends.text import clean
from backends.threads import DaemonThreads

LANES = 2
_PLAIN = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


class PrometheusConfig(Access, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, and how it is entered.

    url: the server's base URL, with its path prefix.
    """

    url: str | Secret

    def __post_init__(self) -> None:
        super().__post_init__()
        refuse_bad_server(self.url)


class Build(Struct, frozen=True):
    """What `/status/buildinfo` says."""

    version: str = ""


class PrometheusMetrics:
    """`Metrics` of one server. `server` is its door, for what else it has to say."""

    api = 1
    Config = PrometheusConfig

    def __init__(self, config: PrometheusConfig, context: AdapterContext) -> None:
        self.server = PrometheusApi(config.url, config, context)
        self._timeout_s = float(config.timeout)
        self._threads = DaemonThreads(LANES, "prometheus")

    async def instant(self, query: str, *, at: datetime | None = None) -> list[Sample]:
        """As the port says."""
        params = {"query": query, "timeout": f"{self._timeout_s:g}s"}
        if at is not None:
            params["time"] = f"{at.timestamp():.3f}"
        try:
            data, envelope = await self.server.read("query", QueryData, params)
        except BackendError as error:
            raise _about(query, error) from None
        if data.result_type not in READ_TYPES:
            words = f"the query returns a {clean(data.result_type, 40)}, not a number for each series"
            raise BackendError("config", f"{self.server.where}: {words}", fix=_correct(query))
        try:
            samples = samples_of(data, envelope.said)
        except (msgspec.ValidationError, ValueError) as error:
            raise BackendError("malformed", f"{self.server.where}: {quoted(str(error))}") from None
        if not samples and envelope.said:
            raise self.server.nothing_proven(envelope.said)
        return samples

    async def range(self, query: str, *, start: datetime, end: datetime, step: float) -> list[Series]:
        """As the port says; `start` and `end` are rounded to seconds."""
        params = {**self.server.access.params, "timeout": f"{self._timeout_s:g}s"}

        async def ask(access: ServerAccess) -> tuple[list[Series], tuple[str, ...]]:
            ends = time.monotonic() + self._timeout_s
            work = partial(_read_range, access, query, start, end, step, params, ends)
            async with timed(self._timeout_s):
                return await asyncio.wrap_future(self._threads.submit(work))

        try:
            series, warnings = await self.server.entered(ask)
        except TimeoutError:
            raise BackendError("timeout", f"{self.server.where}: no answer in {self._timeout_s:g} s") from None
        except BackendError as error:
            raise _about(query, error) from None
        self.server.tell_partial(warnings)
        if not series and warnings:
            raise self.server.nothing_proven(warnings)
        return series

    async def series_exist(self, metric: str) -> bool:
        """As the port says; "now" reaches back as far as the server's lookback, usually 5 min."""
        return bool(await self.instant(f"count({metric}\n)"))

    @property
    def usual(self) -> str:
        """`up`: whether targets answer."""
        return "up"

    def taken_at(self, query: str) -> str:
        """`timestamp(…)`: when the newest sample was scraped, for a plain selector; of what computes it is now."""
        return f"timestamp({query}\n)"

    def names(self, query: str) -> tuple[str, ...]:
        """As the port says; a name that is no plain word comes as a selector."""
        return tuple(
            name if _PLAIN.fullmatch(name) else f"{{__name__={_quoted(name)}}}" for name in metric_names(query)
        )

    async def version(self) -> str:
        """What the server says it is; empty where it does not say, as behind some proxies."""
        try:
            return clean((await self.server.read("status/buildinfo", Build))[0].version, 60)
        except BackendError as error:
            if error.kind in ("not_found", "malformed", "config"):
                return ""
            raise

    async def aclose(self) -> None:
        """End the threads after what they do; safe to call twice."""
        self._threads.close()


def _correct(query: str) -> str:
    return f"correct the query, try it on the server's own page: {clean(query, 200)}"


def _about(query: str, error: BackendError) -> BackendError:
    """The same; where the server refused it for `query`, that is said."""
    if error.status in REFUSED_QUERY and error.kind == "config":
        error.fix = _correct(query)
    return error


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _read_range(
    access: ServerAccess,
    query: str,
    start: datetime,
    end: datetime,
    step: float,
    params: dict[str, str],
    deadline: float,
) -> tuple[list[Series], tuple[str, ...]]:
    try:
        import_in_turn("backends.metrics.prometheus.range")
        from backends.metrics.prometheus.range import RangeQuery, read_range
    except ImportError as error:
        raise BackendError(
            "config", f"the Python module {error.name} is missing", fix="install prometheus-api-client"
        ) from None
    return read_range(
        access, RangeQuery(query=query, start=start, end=end, step=step, params=params, deadline=deadline)
    )
