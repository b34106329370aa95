"""Health checks: each is judged by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backends.models import CheckResult
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Port, Problem, Reading

if TYPE_CHECKING:
    from backends.ports import Check


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
    protocol="backends.ports:Check",
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
