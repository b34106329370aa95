"""The upstream systems: what they deliver for one run, written as the files that the pipeline then reads.

Each batch is new (seeded by its run id, so that a retry finds the same rows) and a little dirty, as deliveries are;
the fault `bad-data` makes three in ten transactions wrong.
"""

import csv
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

COUNTRIES = ("DE", "FR", "US", "GB", "JP", "BR")
SEGMENTS = ("consumer", "small business", "enterprise")
CURRENCIES = ("EUR", "USD", "GBP", "JPY")
CATEGORIES = ("books", "games", "garden", "kitchen", "music", "tools")
STATUSES = ("authorized", "captured", "refunded")
KINDS = ("view", "search", "cart", "checkout")
CUSTOMERS, PRODUCTS = 200, 40
USUALLY_DIRTY = 0.006
BAD_DATA = 0.3

Row = dict[str, Any]


def deliver(folder: Path, run_id: str, rows: int, *, bad_data: bool) -> dict[str, int]:
    """Write the four files of a batch and, last, `_SUCCESS`. Returns the rows per file. Raises OSError."""
    chance = random.Random(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    customers = [_customer(number, chance) for number in range(1, CUSTOMERS + 1)]
    products = [_product(number) for number in range(1, PRODUCTS + 1)]
    now = datetime.now(UTC)
    transactions = [_transaction(run_id, number, now, chance) for number in range(rows)]
    events = [_event(run_id, number, now, chance) for number in range(rows * 2)]
    _spoil(customers, USUALLY_DIRTY, chance, [lambda row: row.update(email="")])
    _spoil(events, USUALLY_DIRTY, chance, [lambda row: row.update(kind="?")])
    _spoil(transactions, BAD_DATA if bad_data else USUALLY_DIRTY, chance, _WRONG_TRANSACTION)
    _write_csv(folder / "customers.csv", customers)
    _write_csv(folder / "transactions.csv", transactions)
    (folder / "products.json").write_text(json.dumps(products), encoding="utf-8")
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    (folder / "_SUCCESS").touch()
    return {"customers": CUSTOMERS, "transactions": rows, "products": PRODUCTS, "events": rows * 2}


def _customer(number: int, chance: random.Random) -> Row:
    signed_up = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number * 3)
    return {
        "customer_id": number,
        "email": f"customer{number}@example.com",
        "country": COUNTRIES[number % len(COUNTRIES)],
        "segment": SEGMENTS[number % len(SEGMENTS)],
        "signup_date": signed_up.date().isoformat(),
        "loyalty_points": chance.randrange(0, 5000),
    }


def _product(number: int) -> Row:
    category = CATEGORIES[number % len(CATEGORIES)]
    return {"product_id": number, "name": f"{category} {number}", "category": category, "price": 5 + number * 1.5}


def _transaction(run_id: str, number: int, now: datetime, chance: random.Random) -> Row:
    return {
        "transaction_id": f"{run_id}/{number}",
        "customer_id": chance.randint(1, CUSTOMERS),
        "product_id": chance.randint(1, PRODUCTS),
        "transaction_amount": round(chance.lognormvariate(3.5, 0.8), 2),
        "currency": chance.choice(CURRENCIES),
        "status": chance.choice(STATUSES),
        "transacted_at": _text(now - timedelta(seconds=chance.uniform(0, 120))),
    }


def _event(run_id: str, number: int, now: datetime, chance: random.Random) -> Row:
    return {
        "event_id": f"{run_id}/{number}",
        "customer_id": chance.randint(1, CUSTOMERS),
        "kind": chance.choice(KINDS),
        "at": _text(now - timedelta(seconds=chance.uniform(0, 120))),
    }


_WRONG_TRANSACTION: list[Callable[[Row], None]] = [
    lambda row: row.update(transaction_amount=-row["transaction_amount"]),
    lambda row: row.update(currency="???"),
    lambda row: row.update(customer_id=""),
    lambda row: row.update(transaction_amount=row["transaction_amount"] * 1_000_000),
]


def _spoil(rows: list[Row], share: float, chance: random.Random, ways: list[Callable[[Row], None]]) -> None:
    for index in chance.sample(range(len(rows)), int(len(rows) * share)):
        chance.choice(ways)(rows[index])


def _write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys() if rows else ["transaction_id"])
        writer.writeheader()
        writer.writerows(rows)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
