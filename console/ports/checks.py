"""Health checks: each is judged by itself."""

from typing import Any

from backends.models import CheckResult
from backends.ports import Check
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Port, Reading


async def _fetch(desk: Desk, name: str) -> tuple[CheckResult, ...]:
    return (await desk.adapters.of(CHECKS, name).run(),)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    return [await adapters.of(CHECKS, entry.name).run()]


CHECKS: Port[Check, CheckResult] = Port(
    name="checks",
    about="what is looked at once in a while, and by `teal check`.",
    protocol=Check,
    ask=_ask,
    reading=Reading(
        item=CheckResult,
        fetch=_fetch,
        interval_s=30.0,
        checked="each",
        single="check",
        says=lambda check: check.message,
    ),
    documents={"check": CheckResult},
    shown_as="check",
)
