"""Watching an action from the command that ordered it, and being its runner with `--foreground`."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Iterator

from actions.models import Action, Consent, Refused, Request
from backends.errors import BackendError
from console.cli.options import Common
from console.output import print_lines
from console.session import Session
from console.streams import say
from panels.words import UNICODE


async def follow(
    common: Common, session: Session, action: Action, deadline: float | None, *, foreground: bool, back: bool = False
) -> Action:
    """Say each step as it comes, until the action has ended or only a person can go on with it, or the deadline; in the
    foreground, where this process is the runner, until it has ended or is left. `back`: it was ordered to go back, so
    that a pause which its runner has not left yet is none.
    """
    if not action.open or action.id is None:
        return action
    said: set[str] = set()
    remaining = None if deadline is None or foreground else max(0.0, deadline - time.monotonic())
    async with contextlib.aclosing(_seen(session, action.id, remaining)) as frames:
        async for seen in frames:
            action = seen
            if common.output == "jsonl":
                print_lines([action] if action.open else [])
            elif not common.quiet:
                _say_steps(action, said)
            if not foreground and (needs_a_page(action) if back else waits_for_a_person(action)):
                break
    return action


def waits_for_a_person(action: Action) -> bool:
    """Whether it stands and will not go on by itself, or somebody should know of it now."""
    if action.status != "paused":
        return False
    return needs_a_page(action) or action.hold is None or action.hold.until is None


def needs_a_page(action: Action) -> bool:
    """Whether its way back is held, since the side that it leads to is not healthy."""
    return action.status == "paused" and action.error is not None and action.error.kind == "target_unhealthy"


async def _seen(session: Session, action_id: str, seconds: float | None) -> AsyncGenerator[Action, None]:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for seen in session.watch(action_id):
                yield seen


def _say_steps(action: Action, said: set[str]) -> None:
    for step in action.steps:
        mark = f"{step.name} {step.status}"
        if mark not in said and step.status != "pending":
            said.add(mark)
            say(f"{UNICODE.of(step.status)} {step.name:10} {step.status:10} {step.detail}".rstrip())
    standing = f"{action.status} {action.hold.why if action.hold else ''}".rstrip()
    if action.status in ("paused", "conflict", "in_doubt") and standing not in said:
        said.add(standing)
        why = action.error.message if action.error else "by an order"
        say(f"{UNICODE.warning} {action.status}: {why}")


@contextlib.contextmanager
def as_runner(session: Session, begun: list[Action]) -> Iterator[None]:
    """For `--foreground`, where this process runs what is `begun`: Ctrl-C pauses the action at its next safe point; a
    second one, SIGTERM and SIGHUP leave it paused to whoever resumes it, as does the first where it only begins."""
    loop, tasks, pressed = asyncio.get_running_loop(), set[asyncio.Task[None]](), 0

    def interrupt() -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1 or not begun:
            leave()
            return
        (action,) = begun
        how = f"teal action resume {action.id}, or teal deploy rollback {action.service}; Ctrl-C again leaves it paused"
        say(f"teal: pausing at the next safe point ({how})")
        task = asyncio.ensure_future(_pause(session, action))
        tasks.add(task)

    def leave() -> None:
        what = f"it paused: teal action resume {begun[0].id}" if begun else "it as soon as it has begun"
        say(f"teal: leaving {what}")
        session.orders.park()

    for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, leave), (signal.SIGHUP, leave)):
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for task in tasks:
            task.cancel()


async def _pause(session: Session, action: Action) -> None:
    order = Request(kind=action.kind, service=action.service, ref=action.id or "", order="pause")
    try:
        await session.orders.submit(await session.orders.plan(order), Consent(confirmed=True, reason="Ctrl-C"))
    except (Refused, BackendError) as no:
        words = no.error.message if isinstance(no, Refused) else no.message
        say(f"teal: not paused: {words}")
