"""Expectation suites: JSON as Great Expectations writes it, evaluated in SQL on the rows of one run."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backends.json_text import decode_text
from backends.quality.expectation_words import expectation_words
from backends.text import counted
from console.sandbox import files
from console.sandbox.sources import COUNTRIES, CURRENCIES, KINDS, STATUSES

Expectation = dict[str, Any]


def _column(kind: str, column: str, **kwargs: Any) -> Expectation:
    return {"expectation_type": f"expect_column_values_to_{kind}", "kwargs": {"column": column, **kwargs}}


def _row_count(least: int) -> Expectation:
    return {"expectation_type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": least}}


SUITES: dict[str, list[Expectation]] = {
    "customers": [
        _row_count(1),
        _column("not_be_null", "customer_id"),
        _column("be_unique", "customer_id"),
        _column("not_be_null", "email"),
        _column("match_like_pattern", "email", like_pattern="%_@_%.__%"),
        _column("be_in_set", "country", value_set=COUNTRIES),
        _column("be_between", "loyalty_points", min_value=0, max_value=100_000),
    ],
    "transactions": [
        _row_count(1),
        _column("not_be_null", "transaction_id"),
        _column("be_unique", "transaction_id"),
        _column("not_be_null", "customer_id"),
        _column("be_between", "transaction_amount", min_value=0.01, max_value=100_000),
        _column("be_in_set", "currency", value_set=CURRENCIES),
        _column("be_in_set", "status", value_set=STATUSES),
    ],
    "products": [
        _row_count(1),
        _column("be_unique", "product_id"),
        _column("not_be_null", "name"),
        _column("be_between", "price", min_value=0.01, max_value=10_000),
    ],
    "events": [_row_count(1), _column("be_unique", "event_id"), _column("be_in_set", "kind", value_set=KINDS)],
}


class SuiteError(Exception):
    """A suite does not fit the table that it is about."""


@dataclass
class Evaluation:
    """What a suite found. `score`: the share of rows that meet every expectation."""

    score: float
    passed: int
    total: int
    failures: list[dict[str, str]] = field(default_factory=list)


def suite_path(directory: Path, dataset: str) -> Path:
    """Where the suite of a dataset is kept."""
    return directory / "suites" / f"{dataset}_suite.json"


def write_suites(directory: Path) -> None:
    """Write all suites as they should be. Raises OSError."""
    (directory / "suites").mkdir(exist_ok=True)
    for dataset, expectations in SUITES.items():
        suite = {"expectation_suite_name": f"{dataset}_suite", "expectations": expectations}
        files.write_json(suite_path(directory, dataset), suite)


def break_suite(directory: Path) -> None:
    """Write the transactions suite as somebody would who renamed a column in one place only. Raises OSError."""
    path = suite_path(directory, "transactions")
    files.write_text(path, path.read_text(encoding="utf-8").replace('"transaction_amount"', '"amount_eur"'))


def evaluate(connection: sqlite3.Connection, path: Path, table: str, run_id: str) -> Evaluation:
    """Evaluate the suite in `path` on the rows of `run_id`. Raises SuiteError, OSError, sqlite3.Error."""
    try:
        suite: Any = decode_text(path.read_bytes(), object)
        expectations = [(found["expectation_type"], found["kwargs"]) for found in suite["expectations"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SuiteError(f"{path.name}: not an expectation suite: {error!r}") from None
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    count = connection.execute(f"SELECT count(*) FROM {table} WHERE run_id = ?", (run_id,)).fetchone()[0]
    result = Evaluation(1.0, 0, len(expectations))
    every, every_value = [], []
    for kind, kwargs in expectations:
        if kind == "expect_table_row_count_to_be_between":
            if count >= kwargs["min_value"]:
                result.passed += 1
            else:
                result.failures.append({"check": expectation_words(kind, kwargs), "detail": counted(count, "row")})
            continue
        column = kwargs["column"]
        if column not in columns:
            raise SuiteError(f'{path.stem}: column "{column}" is not in {table} ({", ".join(columns)})')
        condition, values = _condition(kind, column, kwargs, table, run_id)
        every.append(condition)
        every_value += values
        wrong = _count(connection, table, run_id, f"NOT ({condition})", values)
        if wrong == 0:
            result.passed += 1
        else:
            detail = f"{wrong} of {counted(count, 'row')} {'fails' if wrong == 1 else 'fail'}"
            result.failures.append({"check": expectation_words(kind, kwargs), "detail": detail})
    right = _count(connection, table, run_id, " AND ".join(f"({one})" for one in every) or "1", every_value)
    result.score = round(right / count, 4) if count else 0.0
    return result


def _count(connection: sqlite3.Connection, table: str, run_id: str, condition: str, values: list[Any]) -> int:
    query = f"SELECT count(*) FROM {table} WHERE run_id = ? AND {condition}"
    found: int = connection.execute(query, (run_id, *values)).fetchone()[0]
    return found


def _condition(kind: str, column: str, kwargs: Expectation, table: str, run_id: str) -> tuple[str, list[Any]]:
    """SQL that is 1 for a row as expected, else 0; as in Great Expectations, only `not_be_null` minds nulls."""
    name = f'"{column}"'
    match kind.removeprefix("expect_column_values_to_"):
        case "not_be_null":
            return f"coalesce({name} <> '', 0)", []
        case "be_unique":
            once = f"SELECT {name} FROM {table} WHERE run_id = ? GROUP BY 1 HAVING count(*) = 1"
            return f"({name} IS NULL OR {name} IN ({once}))", [run_id]
        case "be_between":
            return f"coalesce({name} BETWEEN ? AND ?, 1)", [kwargs["min_value"], kwargs["max_value"]]
        case "be_in_set":
            places = ", ".join("?" * len(kwargs["value_set"]))
            return f"coalesce({name} IN ({places}), 1)", list(kwargs["value_set"])
        case "match_like_pattern":
            return f"coalesce({name} LIKE ? OR {name} = '', 1)", [kwargs["like_pattern"]]
    raise SuiteError(f"unknown expectation {kind}")
