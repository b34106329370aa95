"""The question before an order, at a terminal: a plan that was shown is agreed to, or nothing happens."""

import contextlib
import signal
from collections.abc import Iterable, Iterator

import click
from msgspec.structs import replace

from actions.models import Consent, Plan
from actions.telling import title
from console.streams import say

NOT_AGREED = "not done, nothing changed: the answer was no"
NO_ANSWER = "not done, nothing changed: there was no answer"


def asked(plan: Plan, consent: Consent, shown: Iterable[str]) -> Consent:
    """`consent` with the answer, after the lines of the plan. Raises click.Abort where none comes (Ctrl-C, Ctrl-D)."""
    for line in shown:
        say(line)
    try:
        with _ended_by_one_interrupt():
            return _answered(plan, consent)
    except (click.Abort, KeyboardInterrupt):
        say(f"\n{NO_ANSWER}")
        raise click.Abort from None


def _answered(plan: Plan, consent: Consent) -> Consent:
    if plan.must_be_armed:
        typed = click.prompt(f"Type {plan.context} to confirm", default="", show_default=False, err=True)
        reason = consent.reason or click.prompt("Reason", default="", show_default=False, err=True)
        return replace(consent, confirmed=typed == plan.context, typed_context=typed, reason=reason)
    return replace(consent, confirmed=click.confirm(f"{_imperative(plan)}?", err=True))


@contextlib.contextmanager
def _ended_by_one_interrupt() -> Iterator[None]:
    """asyncio takes a first Ctrl-C for its main task, which can not end while a line is read: only a second one did."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _imperative(plan: Plan) -> str:
    order = plan.request.order
    words = f"{order} {title(plan)}" if order else title(plan)
    return words[:1].upper() + words[1:]
