"""Health of a Redis (or Valkey) server: answers, in its role, replicating, not full, able to persist.

```toml
[[contexts.production.checks]]
name = "cache"
type = "redis"
url = { env = "CACHE_URL" }             # redis://:password@host:6379, rediss://…, unix:///run/redis.sock
role = "primary"                        # or "replica", "any"
replicas = 1                            # at least so many follow it
skip = ["hits"]                         # of: memory, replication, persistence, hits
```
"""

import ssl
from typing import Literal

from msgspec import Struct

from backends.checks.findings import Findings, Limits, critical, refuse_crossed
from backends.checks.latency import LatencyLimits, judge_latency
from backends.checks.resp import BrokenReply, ErrorReply, RedisConnection, RedisTarget, connected, parse_target
from backends.errors import BackendError
from backends.http import connection_words
from backends.models import CheckResult
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url, reveal
from backends.stopwatch import Stopwatch, timed
from backends.text import clean, counted

Aspect = Literal["memory", "replication", "persistence", "hits"]
Info = dict[str, str]

_WORDS_OF_CODE = {
    "NOAUTH": "wrong password: the server wants one, and the URL has none",
    "WRONGPASS": "wrong password",
    "NOPERM": "permission denied",
    "LOADING": "loading its data",
    "MISCONF": "cannot persist, and refuses writes",
    "MASTERDOWN": "a replica that has lost its primary",
}


class RedisCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, its role, and its limits.

    url: `redis://…`, `rediss://…` or `unix:///…`, as a reference where it holds a password.
    role: what it has to be.
    replicas: at least so many follow it.
    warn: a PING that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the whole look.
    memory_warn: percent of maxmemory.
    memory_crit: the same, critical.
    lag_warn: the other side was not heard of for longer: a warning.
    lag_crit: the same, critical.
    hits_warn: fewer percent of lookups that found their key are a warning.
    hits_from: judged from so many lookups on.
    skip: what is not looked at.
    """

    url: str | Secret
    role: Literal["primary", "replica", "any"] = "primary"
    replicas: int = 0
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(3)
    memory_warn: float = 80
    memory_crit: float = 90
    lag_warn: Duration = Duration(30)
    lag_crit: Duration = Duration(60)
    hits_warn: float = 50
    hits_from: int = 10_000
    skip: tuple[Aspect, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
            parse_target(self.url)
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if self.replicas < 0:
            raise ValueError("replicas: 0 or more")
        LatencyLimits(self.warn, self.crit)
        refuse_crossed(self, "memory", "lag")


class RedisCheck:
    """`Check` by PING and INFO, over a connection of its own each time."""

    api = 1
    Config = RedisCheckConfig

    def __init__(self, config: RedisCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError(config) where nobody could look: a missing secret, a wrong URL."""
        try:
            target = parse_target(await reveal(self._config.url, self._base_dir))
        except ValueError as error:
            raise BackendError("config", str(error), fix="write it like redis://host:6379") from None
        where = clean(target.where, 300)
        stage = "no connection"
        try:
            async with timed(self._config.timeout) as watch, connected(target) as connection:
                stage = "connected, but no answer"
                return await self._look(connection, target, watch)
        except TimeoutError:
            words = f"{stage} in {self._config.timeout}"
        except EOFError:
            words = "connection lost before the answer was complete"
        except ErrorReply as error:
            words = _words(error)
        except BrokenReply as error:
            words = str(error)
        except (OSError, UnicodeError, ssl.SSLError) as error:
            words = connection_words(error)
        return critical(self._name, f"{where}: {words}")

    async def aclose(self) -> None:
        """Nothing is open between two looks."""

    async def _look(self, connection: RedisConnection, target: RedisTarget, watch: Stopwatch) -> CheckResult:
        where = clean(target.where, 300)
        if target.password:
            await connection.ask("AUTH", *([target.user] if target.user else []), target.password)
        findings = Findings(self._name)
        try:
            await connection.ask("PING")
        except ErrorReply as error:
            if error.code not in ("LOADING", "MISCONF", "MASTERDOWN"):
                raise
            findings.fault("critical", f"{where}: {_words(error)}")
        took = watch.took()
        state, latency, datum = judge_latency(
            took.seconds, LatencyLimits(self._config.warn, self._config.crit), late_s=took.late_s
        )
        findings.add(state, f"answered in {latency}", datum)
        try:
            info = parse_info(await connection.ask("INFO"))
        except ErrorReply as error:
            findings.fault("unknown", f"{where}: answers, but INFO is refused: {_words(error)}")
            info = {}
        for aspect, judge in (
            ("replication", self._judge_replication),
            ("memory", self._judge_memory),
            ("persistence", self._judge_persistence),
            ("hits", self._judge_hits),
        ):
            if info and aspect not in self._config.skip:
                judge(findings, info)
        role = "replica" if info.get("role") == "slave" else "primary"
        version = info.get("valkey_version") or info.get("redis_version", "")
        clients = info.get("connected_clients", "?")
        summary = f"{version} {role}, {counted(clients, 'client')}, answered in {latency}"
        return findings.result(clean(summary, 300), seconds=took.seconds)

    def _judge_replication(self, findings: Findings, info: Info) -> None:
        expected, replica = self._config.role, info.get("role") == "slave"
        primary = clean(f"{info.get('master_host', '')}:{info.get('master_port', '')}", 200)
        if expected == "primary" and replica:
            findings.fault("critical", f"read-only: it is a replica of {primary}, expected a primary")
        elif expected == "replica" and not replica:
            findings.fault("critical", "it is a primary, expected a replica")
        limits = Limits(self._config.lag_warn, self._config.lag_crit)
        if not replica:
            self._judge_replicas(findings, info, limits)
        elif info.get("master_link_status") != "up":
            since = _number(info, "master_link_down_since_seconds")
            ago = "" if since is None or since < 0 else f" since {Duration(since)}"
            findings.fault("critical", f"link to {primary} is down{ago}")
        elif (lag := _number(info, "master_last_io_seconds_ago")) is not None and lag >= 0:
            words = f"nothing heard of {primary} for {Duration(lag)}"
            findings.measured("lag", lag, words, limits=limits, unit="s")

    def _judge_replicas(self, findings: Findings, info: Info, limits: Limits) -> None:
        replicas = [parse_pairs(value) for key, value in info.items() if key.startswith("slave") and "ip=" in value]
        if len(replicas) < self._config.replicas:
            findings.fault("critical", f"{len(replicas)} of {self._config.replicas} replicas follow")
        if self._config.replicas or replicas:
            findings.measured("replicas", len(replicas))
        for replica in replicas:
            name = clean(f"{replica.get('ip', '')}:{replica.get('port', '')}", 100)
            if (state := replica.get("state", "")) != "online":
                findings.fault("warning", f"replica {name} is not in sync: {clean(state, 40)}")
            elif (lag := _number(replica, "lag")) is not None:
                label = "lag" if len(replicas) == 1 else f"lag_{name}"
                findings.measured(label, lag, f"replica {name} lags {Duration(lag)}", limits=limits, unit="s")

    def _judge_memory(self, findings: Findings, info: Info) -> None:
        used, most = _number(info, "used_memory"), _number(info, "maxmemory")
        if used is None:
            return
        if not most:
            findings.measured("memory", used, unit="B")
            return
        # A cache that may evict any key is full by design.
        full_by_design = info.get("maxmemory_policy", "").startswith("allkeys")
        share = Limits(most * self._config.memory_warn / 100, most * self._config.memory_crit / 100)
        words = f"memory {used / most:.0%} of {most / 2**20:.0f} MB, {clean(info.get('maxmemory_policy', ''), 40)}"
        limits = Limits() if full_by_design else share
        findings.measured("memory", used, words, limits=limits, unit="B", max=most)

    def _judge_persistence(self, findings: Findings, info: Info) -> None:
        if info.get("loading") == "1":
            done, left = info.get("loading_loaded_perc", "?"), info.get("loading_eta_seconds", "?")
            findings.fault("critical", clean(f"{done} % of its data loaded, {left} s to go", 100))
        if info.get("rdb_last_bgsave_status") == "err":
            findings.fault("warning", "the last save to disk failed")
        if info.get("aof_last_write_status") == "err":
            findings.fault("critical", "the append-only file cannot be written")
        if info.get("aof_last_bgrewrite_status") == "err":
            findings.fault("warning", "the last rewrite of the append-only file failed")

    def _judge_hits(self, findings: Findings, info: Info) -> None:
        hits, misses = _number(info, "keyspace_hits") or 0, _number(info, "keyspace_misses") or 0
        if hits + misses >= max(1, self._config.hits_from):
            ratio = hits / (hits + misses) * 100
            words = f"{ratio:.0f} % of lookups find their key"
            limits = Limits(self._config.hits_warn, at_least=True)
            findings.measured("hits", round(ratio, 2), words, limits=limits, unit="%", max=100)


def parse_info(text: str) -> Info:
    """The `key:value` lines of INFO."""
    return {key: value for key, colon, value in (line.partition(":") for line in text.splitlines()) if colon}


def parse_pairs(text: str) -> Info:
    """`ip=…,port=…,state=…`."""
    return {key: value for key, _, value in (pair.partition("=") for pair in text.split(","))}


def _number(info: Info, key: str) -> float | None:
    try:
        return float(info[key])
    except (KeyError, ValueError):
        return None


def _words(error: ErrorReply) -> str:
    said = quoted(str(error).removeprefix(error.code).strip(), 160)
    if "max number of clients" in said:
        return f"full: {said}"
    if "without any password configured" in said:
        return "wrong password: the URL has one, the server wants none"
    known = _WORDS_OF_CODE.get(error.code)
    return f"{known} ({error.code})" if known else quoted(str(error))
