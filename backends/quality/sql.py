"""Quality scores in a table of any database that SQLAlchemy speaks to.

```toml
[[contexts.production.quality]]
type = "sql"
url = { env = "WAREHOUSE_URL" }   # or a URL without a password: "sqlite:///warehouse.db"
table = "data_quality_log"        # or: query = "select … "
warn = 0.95
crit = 0.80
scale = 1                         # 100 where the source counts 0..100
history = 24                      # points of trend
cadence = "1h"                    # how often it is evaluated; default: the median interval of the trend
timeout = "10s"
```
Columns: dataset, score, evaluated_at and, where there, passed, total, failures (a JSON list of {check, detail}) and
run_ref. A column `suite` or `check_type` says which of several evaluations of a dataset a row is of: each has a score
and a trend of its own. Others are ignored. A time without an offset is UTC; a number is seconds (or milliseconds) since
the epoch.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import QualityScore
from backends.quality.rows import Limits, score_of
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url
from backends.sql import Database
from backends.text import clean

if TYPE_CHECKING:
    import sqlalchemy as sa

DEFAULT_TABLE = "data_quality_log"
SUITE_COLUMNS = ("suite", "check_type")
NEEDED_COLUMNS = ("dataset", "score", "evaluated_at")
FIX_COLUMNS = (
    "the table needs the columns dataset, score and evaluated_at, and may have passed, total, failures, run_ref and "
    "suite; for others, write a `query` that names them so"
)
MAX_ROWS = 20_000
_TABLE = re.compile(r"[A-Za-z_][\w$]*(\.[A-Za-z_][\w$]*)?")


class SqlQualityConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the scores are, and what they mean.

    url: an SQLAlchemy URL without a password, or a reference to one.
    table: the table of the scores; `data_quality_log` where neither this nor `query` is set. Columns: dataset, score
        and evaluated_at; where there, passed, total, failures (a JSON list of {check, detail}), run_ref, and suite or
        check_type (which of several evaluations of a dataset it is).
    query: a `select` of the same columns, instead of `table`.
    warn: a score below this (0..1, after `scale`) is a warning.
    crit: a score below this is critical.
    scale: 100 where the table counts 0..100.
    history: points of trend.
    cadence: how often it is evaluated; by default the median interval of the trend.
    timeout: of one query.
    """

    url: str | Secret
    table: str | None = None
    query: str | None = None
    warn: float = 0.95
    crit: float = 0.80
    scale: float = 1.0
    history: int = 24
    cadence: Duration | None = None
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if isinstance(self.url, str):
            refuse_password_in_url(self.url)
        if self.table is not None and self.query is not None:
            raise ValueError("table, query: one of them, not both")
        if self.table is not None and not _TABLE.fullmatch(self.table):
            raise ValueError("table: write it as NAME or SCHEMA.NAME; anything else is a `query`")
        if self.query is not None and not self.query.strip():
            raise ValueError("query: it is empty")
        if not 0 <= self.crit <= self.warn <= 1:
            raise ValueError("warn, crit: from 0 to 1 (95 % is 0.95), also with a `scale`; crit is not above warn")
        if not self.scale > 0:
            raise ValueError("scale: more than 0")
        if not 1 <= self.history <= 1000:
            raise ValueError("history: 1 to 1000")
        if self.timeout <= 0 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("timeout, cadence: more than 0s")


class SqlQuality:
    """`Quality` over SQL. Reads only, in a transaction that can do nothing else."""

    api = 1
    Config = SqlQualityConfig

    def __init__(self, config: SqlQualityConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._limits = Limits(config.warn, config.crit, config.scale, config.history, config.cadence)
        self._suite: str | None = None  # the column; "" for none
        self._database = Database(config.url, base_dir=context.base_dir, timeout_s=config.timeout)

    async def scores(self) -> list[QualityScore]:
        """The newest score of each dataset, by name. Raises BackendError as `Database.rows`, and `config` for too
        many rows."""
        config = self._config
        table = config.table or DEFAULT_TABLE
        if config.query is None and self._suite is None:
            first = await self._database.rows(_newest_of_each(table, 1), limit=1, columns=FIX_COLUMNS)
            self._suite = next((_suite_column(row) for row in first), None)
        query = config.query or _newest_of_each(table, config.history, self._suite or "")
        rows = await self._database.rows(query, limit=MAX_ROWS + 1, columns=FIX_COLUMNS)
        if len(rows) > MAX_ROWS:
            raise BackendError(
                "config", f"{self._database.where}: more than {MAX_ROWS} rows", fix="lower `history`, or narrow `query`"
            )
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for row in map(_lower_names, rows):
            if missing := [column for column in NEEDED_COLUMNS if column not in row]:
                raise BackendError(
                    "not_found",
                    f"{self._database.where}: no column {', '.join(missing)} among {clean(', '.join(row), 200)}",
                    fix="write a `query` that names its columns dataset, score, evaluated_at",
                )
            dataset = "" if row["dataset"] is None else clean(str(row["dataset"]), 200)
            suite = row.get(_suite_column(row).lower())
            suites = found.setdefault(dataset or "(no name)", {})
            suites.setdefault("" if suite is None else clean(str(suite), 200), []).append(row)
        now = datetime.now(UTC)
        return [
            _of_suite(score_of(self._name, dataset, suites[suite], self._limits, now), suite if len(suites) > 1 else "")
            for dataset, suites in sorted(found.items())
            for suite in sorted(suites)
        ]

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        await self._database.aclose()


def _lower_names(row: dict[str, Any]) -> dict[str, Any]:
    return {column.lower(): value for column, value in row.items()}


def _suite_column(row: Mapping[str, Any]) -> str:
    return next((column for wanted in SUITE_COLUMNS for column in row if column.lower() == wanted), "")


def _of_suite(score: QualityScore, suite: str) -> QualityScore:
    return replace(score, ref=f"{score.ref}/{suite}", suite=suite) if suite else score


def _newest_of_each(table: str, history: int, suite: str = "") -> "Callable[[], sa.Select[Any]]":
    def build() -> "sa.Select[Any]":
        import sqlalchemy as sa

        schema, _, name = table.rpartition(".")
        log = sa.table(name, schema=schema or None).alias("log")
        evaluated_at: sa.ColumnClause[Any] = sa.column("evaluated_at")
        # Nulls last in words that every database has: PostgreSQL would count them as the newest.
        order = (sa.case((evaluated_at.is_(None), 1), else_=0), evaluated_at.desc())
        by: list[sa.ColumnClause[Any]] = [sa.column(name) for name in ("dataset", suite) if name]
        place = sa.func.row_number().over(partition_by=by, order_by=order).label("teal_place")
        ranked = sa.select(sa.literal_column("log.*"), place).select_from(log).subquery("ranked")
        return sa.select(sa.text("*")).select_from(ranked).where(sa.column("teal_place") <= history)

    return build
