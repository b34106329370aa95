"""The warehouse: an SQLite file in WAL mode, so that readers never wait for a run. Its tables, and its SQL models."""

import sqlite3
from pathlib import Path

from console.sandbox import files

BUSY_S = 10.0
BATCHES_KEPT = 20

RAW = {
    "customers": "customer_id INTEGER, email TEXT, country TEXT, segment TEXT, signup_date TEXT,"
    " loyalty_points INTEGER",
    "transactions": "transaction_id TEXT, customer_id INTEGER, product_id INTEGER, transaction_amount REAL,"
    " currency TEXT, status TEXT, transacted_at TEXT",
    "products": "product_id INTEGER, name TEXT, category TEXT, price REAL",
    "events": "event_id TEXT, customer_id INTEGER, kind TEXT, at TEXT",
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS data_quality_log (id INTEGER PRIMARY KEY, dataset TEXT NOT NULL, suite TEXT, score REAL,
    passed INTEGER, total INTEGER, failures TEXT, evaluated_at TEXT NOT NULL, run_id TEXT, run_ref TEXT);
CREATE INDEX IF NOT EXISTS quality_by_dataset ON data_quality_log (dataset, id);
CREATE VIEW IF NOT EXISTS latest_quality AS SELECT * FROM data_quality_log
    WHERE id IN (SELECT max(id) FROM data_quality_log GROUP BY dataset);
CREATE TABLE IF NOT EXISTS pipeline_runs (pipeline TEXT, run_id TEXT, state TEXT, started_at TEXT, ended_at TEXT,
    duration_s REAL, PRIMARY KEY (pipeline, run_id));
CREATE TABLE IF NOT EXISTS dataset_freshness (dataset TEXT PRIMARY KEY, loaded_at TEXT, rows INTEGER);
CREATE TABLE IF NOT EXISTS service_metrics (id INTEGER PRIMARY KEY, at TEXT, color TEXT, up INTEGER, requests INTEGER,
    errors INTEGER, seconds REAL, error_pct REAL, latency_ms REAL);
CREATE TABLE IF NOT EXISTS platform_metrics (at TEXT, name TEXT, value REAL);
CREATE TABLE IF NOT EXISTS stream_position (stream TEXT PRIMARY KEY, inode INTEGER, offset INTEGER);
CREATE TABLE IF NOT EXISTS stream_requests (minute TEXT, color TEXT, status INTEGER, requests INTEGER,
    PRIMARY KEY (minute, color, status));
CREATE TABLE IF NOT EXISTS dead_letters (stream TEXT, partition INTEGER, records INTEGER,
    PRIMARY KEY (stream, partition));
CREATE TABLE IF NOT EXISTS dbt_test_results (at TEXT, run_id TEXT, test TEXT, failures INTEGER);
CREATE TABLE IF NOT EXISTS stg_customers (customer_id INTEGER PRIMARY KEY, email TEXT, country TEXT, segment TEXT);
CREATE TABLE IF NOT EXISTS stg_products (product_id INTEGER PRIMARY KEY, name TEXT, category TEXT, price REAL);
CREATE TABLE IF NOT EXISTS stg_transactions (run_id TEXT, transaction_id TEXT PRIMARY KEY, customer_id INTEGER,
    product_id INTEGER, transaction_amount REAL, currency TEXT, day TEXT);
CREATE INDEX IF NOT EXISTS stg_transactions_by_run ON stg_transactions (run_id);
CREATE TABLE IF NOT EXISTS int_orders (customer_id INTEGER, product_id INTEGER, day TEXT, currency TEXT, orders INTEGER,
    revenue REAL);
CREATE TABLE IF NOT EXISTS mart_customers (customer_id INTEGER PRIMARY KEY, country TEXT, segment TEXT, orders INTEGER,
    revenue REAL);
CREATE TABLE IF NOT EXISTS mart_transactions (day TEXT, currency TEXT, orders INTEGER, revenue REAL,
    PRIMARY KEY (day, currency));
CREATE TABLE IF NOT EXISTS mart_products (product_id INTEGER PRIMARY KEY, name TEXT, category TEXT, units INTEGER,
    revenue REAL);
"""

STAGING = (
    "INSERT OR REPLACE INTO stg_customers SELECT customer_id, email, country, segment FROM raw_customers"
    " WHERE run_id = :run_id AND customer_id IS NOT NULL",
    "INSERT OR REPLACE INTO stg_products SELECT product_id, name, category, price FROM raw_products"
    " WHERE run_id = :run_id AND product_id IS NOT NULL",
    "INSERT OR REPLACE INTO stg_transactions SELECT run_id, transaction_id, customer_id, product_id,"
    " transaction_amount, currency, substr(transacted_at, 1, 10) FROM raw_transactions"
    " WHERE run_id = :run_id AND transaction_id IS NOT NULL AND customer_id IS NOT NULL",
    "DELETE FROM stg_transactions WHERE run_id NOT IN"
    f" (SELECT run_id FROM stg_transactions GROUP BY run_id ORDER BY max(rowid) DESC LIMIT {BATCHES_KEPT})",
)
INTERMEDIATE = (
    "DELETE FROM int_orders",
    "INSERT INTO int_orders SELECT customer_id, product_id, day, currency, count(*), sum(transaction_amount)"
    " FROM stg_transactions GROUP BY customer_id, product_id, day, currency",
)
MARTS = (
    "DELETE FROM mart_customers",
    "INSERT INTO mart_customers SELECT customer_id, country, segment, coalesce(sum(orders), 0),"
    " round(coalesce(sum(revenue), 0), 2) FROM stg_customers LEFT JOIN int_orders USING (customer_id)"
    " GROUP BY customer_id",
    "DELETE FROM mart_transactions",
    "INSERT INTO mart_transactions SELECT day, currency, sum(orders), round(sum(revenue), 2) FROM int_orders"
    " GROUP BY day, currency",
    "DELETE FROM mart_products",
    "INSERT INTO mart_products SELECT product_id, name, category, coalesce(sum(orders), 0),"
    " round(coalesce(sum(revenue), 0), 2) FROM stg_products LEFT JOIN int_orders USING (product_id)"
    " GROUP BY product_id",
)
# A test is a query for the rows that should not be.
TESTS = {
    "unique_stg_transactions_transaction_id": "SELECT transaction_id FROM stg_transactions GROUP BY 1"
    " HAVING count(*) > 1",
    "relationships_stg_transactions_product_id": "SELECT 1 FROM stg_transactions WHERE product_id NOT IN"
    " (SELECT product_id FROM stg_products)",
    "relationships_stg_transactions_customer_id": "SELECT 1 FROM stg_transactions WHERE customer_id NOT IN"
    " (SELECT customer_id FROM stg_customers)",
    "not_null_mart_customers_revenue": "SELECT 1 FROM mart_customers WHERE revenue IS NULL",
    "mart_transactions_adds_up": "SELECT 1 WHERE (SELECT coalesce(sum(orders), 0) FROM mart_transactions)"
    " <> (SELECT count(*) FROM stg_transactions)",
}


def connect(directory: Path) -> sqlite3.Connection:
    """The warehouse of a sandbox, in autocommit mode with `sqlite3.Row`s. Raises sqlite3.Error where it is away."""
    connection = sqlite3.connect(directory / files.WAREHOUSE, timeout=BUSY_S, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def create(directory: Path) -> None:
    """Make the tables that are missing. Raises OSError, sqlite3.Error."""
    (directory / files.WAREHOUSE).parent.mkdir(mode=0o700, exist_ok=True)
    connection = connect(directory)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        for dataset, columns in RAW.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS raw_{dataset} ({columns}, run_id TEXT)")
            connection.execute(f"CREATE INDEX IF NOT EXISTS raw_{dataset}_by_run ON raw_{dataset} (run_id)")
        connection.executescript(_SCHEMA)
    finally:
        connection.close()


def flood(directory: Path, partitions: int) -> None:
    """So many partitions of a stream have dead letters from now on. Raises sqlite3.Error where it is away."""
    connection = connect(directory)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM dead_letters")
        rows = (("clicks", number, 2 + number % 97) for number in range(partitions))
        connection.executemany("INSERT INTO dead_letters VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    finally:
        connection.close()


def apply(connection: sqlite3.Connection, statements: tuple[str, ...], run_id: str) -> int:
    """Run the statements of a model in one transaction: readers see all of it or nothing. Returns rows written."""
    before = connection.total_changes
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in statements:
            connection.execute(statement, {"run_id": run_id})
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return connection.total_changes - before
