"""Health checks: each is judged by itself."""

from collections.abc import Sequence
from typing import Any

from backends.models import CheckResult
from backends.ports import Check
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Port, Problem, Reading


async def _fetch(desk: Desk, name: str) -> tuple[CheckResult, ...]:
    return (await desk.adapters.of(CHECKS, name).run(),)


def _problems(items: Sequence[CheckResult]) -> list[Problem]:
    return [
        Problem(
            kind="check", ref=item.ref, state=item.state, subject=item.name,
            text=f"check {item.name} {item.state}: {item.message}",
        )
        for item in items if item.state != "ok"
    ]  # fmt: skip


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
        problems=_problems,
    ),
    documents={"check": CheckResult},
    shown_as="check",
)
