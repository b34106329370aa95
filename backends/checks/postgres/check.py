"""Health of a PostgreSQL server (10 or newer): reachable, in its role, not full, not lagging, not blocked, archiving.

```toml
[[contexts.production.checks]]
name = "warehouse"
type = "postgres"
url = { env = "WAREHOUSE_URL" }         # postgresql://user:password@host:5432/database
role = "primary"                        # or "standby", "any"
standbys = 1                            # at least so many follow it
skip = ["archiver"]                     # of: connections, replication, blocked, archiver
```

Each look is one connection of its own, so that a server without a free slot is seen, and one read-only transaction.
The user needs no privilege; with `pg_monitor` the lag of standbys is seen, too.
"""

from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from backends.checks.findings import Findings, Limits, critical, refuse_crossed
from backends.checks.latency import LatencyLimits, judge_latency
from backends.checks.postgres.queries import ARCHIVER, BLOCKED, FOLLOWERS, FOLLOWING, SERVER
from backends.errors import BackendError
from backends.imports import import_in_turn
from backends.models import CheckResult
from backends.redaction import quoted
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url, reveal
from backends.sql import libpq_arguments
from backends.sql_session import FORMATS, set_local
from backends.stopwatch import Took, timed
from backends.text import clean

if TYPE_CHECKING:
    import psycopg

Aspect = Literal["connections", "replication", "blocked", "archiver"]
Row = dict[str, Any]

_FULL = ("too many clients", "too many connections", "remaining connection slots")


class PostgresCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server, its role, and its limits.

    url: `postgresql://…`, as a reference where it holds a password.
    role: what it has to be.
    standbys: at least so many follow it.
    warn: a connection that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the whole look.
    connections_warn: percent of max_connections.
    connections_crit: the same, critical.
    lag_warn: a standby that is further behind is a warning.
    lag_crit: one that is further behind is critical.
    blocked_for: a session that has waited so long for a lock counts as blocked.
    blocked_warn: more blocked sessions are a warning.
    blocked_crit: more are critical.
    skip: what is not looked at.
    """

    url: str | Secret
    role: Literal["primary", "standby", "any"] = "primary"
    standbys: int = 0
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)
    connections_warn: float = 80
    connections_crit: float = 90
    lag_warn: Duration = Duration(60)
    lag_crit: Duration = Duration(300)
    blocked_for: Duration = Duration(10)
    blocked_warn: int = 0
    blocked_crit: int = 10
    skip: tuple[Aspect, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
            if "password=" in self.url:
                raise ValueError('url: a literal password: use a reference, e.g. { env = "WAREHOUSE_URL" }')
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        if self.standbys < 0:
            raise ValueError("standbys: 0 or more")
        LatencyLimits(self.warn, self.crit)
        refuse_crossed(self, "connections", "lag", "blocked")


class PostgresCheck:
    """`Check` of one PostgreSQL server, by psycopg."""

    api = 1
    Config = PostgresCheckConfig

    def __init__(self, config: PostgresCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError(config) where nobody could look: a missing secret or driver, a wrong URL."""
        url, where = await self._target()
        import psycopg

        took: Took | None = None
        try:
            async with timed(self._config.timeout) as watch, await self._connect(url) as connection:
                took = watch.took()
                return await self._look(connection, took)
        except TimeoutError:
            waited = "no connection" if took is None else "connected, but no answer"
            return critical(
                self._name, f"{where}: {waited} in {self._config.timeout}", seconds=took.seconds if took else None
            )
        except psycopg.Error as error:
            return critical(self._name, f"{where}: {_words(error)}", seconds=took.seconds if took else None)

    async def aclose(self) -> None:
        """Nothing is open between two looks."""

    async def _target(self) -> tuple[str, str]:
        """The URL as libpq reads it, and the server's name for messages."""
        url = await reveal(self._config.url, self._base_dir)
        scheme, separator, rest = url.partition("://")
        if separator and scheme.partition("+")[0] in ("postgresql", "postgres"):
            url = f"postgresql://{rest}"  # also as SQLAlchemy writes it: postgresql+psycopg://
        try:
            import_in_turn("psycopg.conninfo")
            import psycopg.conninfo
        except ImportError as error:
            missing = error.name or "psycopg"
            raise BackendError(
                "config", f"the Python module {missing} is missing", fix="install psycopg[binary]"
            ) from None
        try:
            parts = psycopg.conninfo.conninfo_to_dict(url)
        except psycopg.Error:  # its words would quote the URL
            raise BackendError(
                "config", "not a PostgreSQL URL", fix="write it like postgresql://user@host:5432/database"
            ) from None
        host, database = parts.get("host") or "local socket", parts.get("dbname") or ""
        return url, clean(f"{host}:{parts.get('port') or 5432}/{database}".rstrip("/"), 300)

    async def _connect(self, url: str) -> "psycopg.AsyncConnection[Row]":
        import psycopg
        import psycopg.conninfo
        from psycopg.rows import dict_row

        return await psycopg.AsyncConnection.connect(
            url,
            row_factory=dict_row,
            connect_timeout=max(2, int(self._config.timeout)),
            application_name="tealdeck",
            **libpq_arguments(psycopg.conninfo.conninfo_to_dict(url)),
            prepare_threshold=None,  # a pooler such as PgBouncer may hand each statement to another session
        )

    async def _look(self, connection: "psycopg.AsyncConnection[Row]", took: Took) -> CheckResult:
        told = set_local({**FORMATS, "statement_timeout": str(int(self._config.timeout * 1000))})
        level = "READ COMMITTED READ ONLY"  # a standby takes no serializable one
        await connection.execute(f"SET TRANSACTION ISOLATION LEVEL {level}; {told}".encode())
        findings = Findings(self._name)
        state, latency, datum = judge_latency(
            took.seconds, LatencyLimits(self._config.warn, self._config.crit), late_s=took.late_s
        )
        findings.add(state, f"connected in {latency}", datum)
        server = await _one(connection, SERVER)
        skipped = self._config.skip
        self._judge_role(findings, server)
        if "connections" not in skipped:
            self._judge_connections(findings, server)
        if "replication" not in skipped:
            if server["standby"]:
                self._judge_following(findings, await _one(connection, FOLLOWING))
            else:
                self._judge_followers(findings, await _all(connection, FOLLOWERS))
        if "blocked" not in skipped:
            self._judge_blocked(findings, await _all(connection, BLOCKED))
        if "archiver" not in skipped:
            self._judge_archiver(findings, await _one(connection, ARCHIVER))
        summary = [f"PostgreSQL {server['version'].partition(' ')[0]} {'standby' if server['standby'] else 'primary'}"]
        if "connections" not in skipped:
            summary.append(f"{server['connections']} of {server['max_connections']} connections")
        return findings.result(clean(", ".join([*summary, f"connected in {latency}"]), 300), seconds=took.seconds)

    def _judge_role(self, findings: Findings, server: Row) -> None:
        expected = self._config.role
        if expected == "primary" and server["standby"]:
            findings.fault("critical", "read-only: it is a standby, expected a primary")
        elif expected == "standby" and not server["standby"]:
            findings.fault("critical", "it is a primary, expected a standby")
        if server["read_only"] and not server["standby"]:
            findings.fault("critical", "read-only: default_transaction_read_only is on")

    def _judge_connections(self, findings: Findings, server: Row) -> None:
        used, most = server["connections"], server["max_connections"]
        limits = Limits(most * self._config.connections_warn / 100, most * self._config.connections_crit / 100)
        findings.measured("connections", used, f"{used} of {most} connections are taken", limits=limits, max=most)

    def _judge_followers(self, findings: Findings, standbys: list[Row]) -> None:
        if len(standbys) < self._config.standbys:
            findings.fault("critical", f"{len(standbys)} of {self._config.standbys} standbys follow")
        if self._config.standbys or standbys:
            findings.measured("standbys", len(standbys))
        for standby in standbys:
            name = clean(standby["name"], 60)
            label = "lag" if len(standbys) == 1 else f"lag_{name}"
            self._judge_lag(findings, label, f"standby {name}", standby)

    def _judge_following(self, findings: Findings, standby: Row) -> None:
        if standby["paused"]:
            findings.fault("warning", "replay is paused")
        if not standby["receiving"]:
            findings.fault("warning", "receives nothing from its primary")
        self._judge_lag(findings, "lag", "replay", standby)

    def _judge_lag(self, findings: Findings, label: str, who: str, row: Row) -> None:
        if row["lag_s"] is not None:
            lag = max(0.0, round(row["lag_s"], 3))
            words = f"{who} lags {Duration(round(lag))}"
            findings.measured(label, lag, words, limits=Limits(self._config.lag_warn, self._config.lag_crit), unit="s")
        if row["behind_bytes"] is not None:
            findings.measured(f"{label}_bytes", max(0.0, row["behind_bytes"]), unit="B")

    def _judge_blocked(self, findings: Findings, waiting: list[Row]) -> None:
        # Without the right to see since when, a session that waits counts.
        blocked = [row for row in waiting if row["waits_s"] is None or row["waits_s"] >= self._config.blocked_for]
        words = ""
        if blocked:
            longest = blocked[0]
            since = "" if longest["waits_s"] is None else f", longest {Duration(round(longest['waits_s']))}"
            by = f" by process {longest['blocker']}" if longest["blocker"] else ""
            words = f"{len(blocked)} blocked{since}{by}"
        limits = Limits(self._config.blocked_warn, self._config.blocked_crit)
        findings.measured("blocked", len(blocked), words, limits=limits)

    def _judge_archiver(self, findings: Findings, archiver: Row) -> None:
        if not archiver["works"]:
            return
        if archiver["failing"]:
            wal = clean(archiver["last_failed_wal"] or "", 60)
            findings.fault("critical", f"archiver fails: {Duration(round(archiver['failing_s']))} ago at {wal}")
        findings.measured("archive_failures", archiver["failed_count"], unit="c")


async def _all(connection: "psycopg.AsyncConnection[Row]", query: str) -> list[Row]:
    return await (await connection.execute(query)).fetchall()


async def _one(connection: "psycopg.AsyncConnection[Row]", query: str) -> Row:
    (row,) = await _all(connection, query)
    return row


def _words(error: "psycopg.Error") -> str:
    """The server's reason without the address that libpq repeats: `connection refused`, `password authentication …`."""
    lines = [line for line in str(error).splitlines() if "failed: " in line] or str(error).splitlines() or [""]
    reason = lines[-1].rpartition("failed: ")[2].replace("FATAL:", "").strip()
    if any(part in reason for part in _FULL):
        return f"full: {quoted(reason)}"
    if "could not translate host name" in str(error) or "Name or service not known" in reason:
        return "no such host"
    if "Connection refused" in reason:
        return "connection refused"
    if getattr(error, "sqlstate", None) == "57014":
        return "a statement took too long"
    return quoted(reason) or type(error).__name__
