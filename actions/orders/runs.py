"""Orders to pipelines: trigger, retry, cancel, approve, pause and unpause, planned, sent once, and looked
for afterwards."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import tzinfo
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from actions.beside import uninterrupted, unless
from actions.doing import Desk, Doing, Ground
from actions.endings import OutOfTime
from actions.expected import Expected, RunAsSeen, RunExpected
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import context_findings, with_overrides
from actions.ids import new_id, now
from actions.journal.rows import Changes
from actions.kinds import kind_of
from actions.models import ActionError, Finding, Params, Plan, PlanSummary, Refused, Request
from actions.work import Work
from backends.command_line import command
from backends.errors import BackendError
from backends.models import PipelineRun
from backends.pipelines.params import problems, unknown_names
from backends.ports import Approval, PipelineInfo, Pipelines
from backends.run_names import run_name
from backends.text import clean

STEPS = ("preflight", "order", "verify")
MAX_NAMED = 12
SEEN_WITHIN_S = 30.0
LOOK_AGAIN_S = 0.3
_ENDED = frozenset({"success", "failed", "cancelled", "skipped"})
_AMBIGUOUS = frozenset({"timeout", "unreachable", "malformed", "internal"})


class RunFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to a pipeline is agreed to with. `names`: the tasks that run again, or what is approved."""

    ref: str = ""
    params: Params = field(default_factory=dict)
    names: tuple[str, ...] = ()


class _Order(Struct, frozen=True, kw_only=True):
    """What an order comes to: a state from → to, and what is agreed to."""

    from_: str = ""
    to: str
    effects: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    expected: Expected = Expected()
    already: bool = False
    undo: str = ""


_Look = Callable[[Request, Pipelines], Awaitable[_Order]]


async def _plan(look: _Look, request: Request, desk: Desk) -> Plan:
    """What would be sent to the backend. Raises Refused for a pipeline or a run that is not there."""
    target, policy = await desk.targets.pipelines(request.service.partition("/")[0]), desk.policy
    order = await look(request, target.adapter)
    guard_class, at = kind_of(request.kind).guard_class, now()
    findings = order.findings if order.already else (*order.findings, *context_findings(policy, guard_class, at))
    agreed = hash_of(
        RunFacts(
            kind=request.kind, context=policy.context, service=request.service, from_=order.from_, to=order.to,
            target=driven(target.entry), ref=request.ref, params=request.params, names=order.names,
        )
    )  # fmt: skip
    return Plan(
        kind=request.kind, context=policy.context, service=request.service, guard_class=guard_class,
        protected=policy.protected, from_=order.from_, to=order.to,
        findings=with_overrides(findings, request.overrides),
        summary=PlanSummary(
            effects=() if order.already else order.effects,
            preconditions=(f"it is still {order.from_}",) if order.from_ and not order.already else (),
            undo="" if order.already else order.undo,
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=at, already=order.already, expected=order.expected,
        target=target.entry.kept(), request=request, about=_about(request, policy.zone),
    )  # fmt: skip


def _about(request: Request, zone: tzinfo) -> str:
    """A run by its pipeline and its name; a pipeline is named by its own."""
    run_id = request.ref.removeprefix(f"{request.service}/")
    return clean(f"{request.service.partition('/')[2]} {run_name(run_id, zone)}", 200) if request.ref else ""


async def _trigger(request: Request, adapter: Pipelines) -> _Order:
    info = await _info(adapter, request.service)
    params = " ".join(f"{key}={value}" for key, value in sorted(request.params.items())) or "its defaults"
    bad = problems(info, request.params)
    findings = [Finding(level="block", code="param", text=text, fix="correct it") for text in bad]
    findings += [
        Finding(level="block", code="unknown-param", text=text, fix="correct it", overridable=True)
        for text in unknown_names(info, request.params)
    ]
    effect = f"trigger  {request.service} with {params}"
    expected = RunExpected(run_id=f"manual__{new_id()}")
    return _Order(to="queued", effects=(effect,), findings=(*findings, *_doubts(info)), expected=expected)


async def _pause(request: Request, adapter: Pipelines) -> _Order:
    return await _schedule(request, adapter, "paused", "run unpause")


async def _unpause(request: Request, adapter: Pipelines) -> _Order:
    return await _schedule(request, adapter, "active", "run pause")


async def _schedule(request: Request, adapter: Pipelines, wanted: str, undo: str) -> _Order:
    info = await _info(adapter, request.service)
    found = "paused" if info.paused else "active"
    return _Order(
        from_=found, to=wanted, effects=(f"schedule  {request.service}: {found} → {wanted}",), already=found == wanted,
        undo=command(undo, info.pipeline),
    )  # fmt: skip


async def _retry(request: Request, adapter: Pipelines) -> _Order:
    run = await _run_of(request, adapter)
    order = _Order(from_=run.state, to="queued", expected=_expected(run))
    if run.state not in ("failed", "cancelled", "skipped"):
        text = f"it is {run.state}: only an ended run that did not succeed is retried"
        bad = Finding(level="block", code="run-state", text=text, fix="wait, cancel it, or trigger anew")
        return replace(order, findings=(bad,))
    tasks = await adapter.retry_preview(run.pipeline, run.run_id)
    if not tasks:
        text = f"no task of {run.ref} would run again"
        return replace(
            order, findings=(Finding(level="block", code="nothing-to-retry", text=text, fix="trigger anew"),)
        )
    effect = f"retry  {len(tasks)} of the tasks of {run.ref}: {_named(tasks)}"
    return replace(order, effects=(effect,), names=tuple(tasks))


async def _cancel(request: Request, adapter: Pipelines) -> _Order:
    run = await _run_of(request, adapter)
    ended = run.state in _ENDED
    return _Order(
        from_=run.state, to=run.state if ended else "cancelled", effects=(f"cancel  {run.ref}",), already=ended,
        expected=_expected(run),
    )  # fmt: skip


async def _approve(request: Request, adapter: Pipelines) -> _Order:
    run = await _run_of(request, adapter)
    order = _Order(from_=run.state, to="running", expected=_expected(run))
    waiting = await adapter.approvals(run.pipeline, run.run_id)
    mine = [each.name for each in waiting if each.mine]
    if mine:
        others = [each for each in waiting if not each.mine]
        findings = tuple(Finding(level="warning", code="others", text=_not_mine(each)) for each in others)
        effect = f"approve  {_named(mine)} of {run.ref}"
        return replace(order, effects=(effect,), names=tuple(mine), findings=findings)
    text = "; ".join(_not_mine(each) for each in waiting) or f"nothing in {run.ref} waits for an approval"
    bad = Finding(level="block", code="no-approval", text=text, fix="`teal run show` says what it waits for")
    return replace(order, findings=(bad,))


async def _run_of(request: Request, adapter: Pipelines) -> PipelineRun:
    run = await _find(adapter, request.service.partition("/")[2], request.ref.removeprefix(f"{request.service}/"))
    if run is None:
        message = f"no run {clean(request.ref, 200)}"
        raise Refused(5, ActionError(kind="not_found", message=message, fix="`teal run list`"))
    return run


def _expected(run: PipelineRun) -> RunAsSeen:
    return RunAsSeen(run_id=run.run_id, state=run.state, started_at=run.started_at, ended_at=run.ended_at)


def _not_mine(approval: Approval) -> str:
    return f"{approval.name} waits for somebody else" + (f": {approval.detail}" if approval.detail else "")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _doubts(info: PipelineInfo) -> list[Finding]:
    findings = []
    if info.note:
        findings.append(Finding(level="warning", code="note", text=f"{info.pipeline}: {info.note}"))
    if not info.paused:
        return findings
    text = f"the schedule of {info.pipeline} is paused: the run may wait until it is not"
    fix = command("run unpause", info.pipeline)
    return [*findings, Finding(level="warning", code="paused", text=text, fix=fix)]


async def _info(adapter: Pipelines, service: str) -> PipelineInfo:
    try:
        return await adapter.pipeline(service.partition("/")[2])
    except BackendError as error:
        if error.kind != "not_found":
            raise
    known = ", ".join(info.pipeline for info in (await adapter.pipelines())[:MAX_NAMED]) or "none"
    message = f"no pipeline {clean(service, 200)}"
    raise Refused(5, ActionError(kind="not_found", message=message, fix=f"known: {known}"))


async def _find(adapter: Pipelines, pipeline: str, run_id: str) -> PipelineRun | None:
    try:
        return await adapter.run(pipeline, run_id)
    except BackendError as error:
        if error.kind == "not_found":
            return None
        raise


_Send = Callable[["RunOrder"], Awaitable[None]]
_Shows = Callable[["RunOrder"], Awaitable[str | None]]
"""What shows that the order was carried out, in words; None where nothing does yet."""


class RunOrder:
    """One order to a pipeline, which `send` gives to its adapter and `shows` looks for."""

    def __init__(self, work: Work, on: Ground, send: _Send, shows: _Shows) -> None:
        request = work.plan.request
        self.adapter: Pipelines = on.adapter
        self.params = request.params
        self.reason = on.reason
        backend, _, self.pipeline = request.service.partition("/")
        expected = work.plan.expected
        self.run_id = expected.run_id if isinstance(expected, RunExpected) else ""
        self.seen = expected if isinstance(expected, RunAsSeen) else None
        self._work = work
        self._send_it, self._shows = send, shows
        self._ref = f"{backend}/{self.pipeline}/{self.run_id}" if self.run_id else ""

    async def run(self) -> None:
        """Look, send once, look again. Raises LeaseLost."""
        work = self._work
        try:
            seen = await unless(self._ordered(), work.in_time())
        except BackendError as error:
            failed = ActionError(kind=error.kind, message=error.message, fix=error.fix)
            await work.finish("aborted", error=failed)
            return
        except OutOfTime as late:
            words = await work.break_off(str(late))
            if work.steps.happened("intent", "order") is not None:
                words += "; it was sent, and nothing of it was seen yet"
            await work.finish("aborted", error=ActionError(kind="deadline", message=words, fix="`teal run list`"))
            return
        if seen is None:
            words = f"it was sent, and nothing of it was seen in {SEEN_WITHIN_S:g} s"
            unseen = ActionError(kind="verify_failed", message=words, fix="`teal run list`")
            await work.finish("aborted", error=unseen)
            return
        await work.end("verify", "succeeded", seen)
        await work.finish("succeeded")

    async def _ordered(self) -> str | None:
        await self._looked()
        seen = await uninterrupted(self._send())
        await self._work.begin("verify")
        return seen or await self._seen()

    async def _looked(self) -> None:
        await self._work.begin("preflight")
        detail = "no preconditions"
        seen = self.seen
        if seen is not None and self._work.steps.happened("intent", "order") is None:
            run = await _find(self.adapter, self.pipeline, self.run_id)
            if run is None or run.state != seen.state:
                now_is = "gone" if run is None else run.state
                message = f"{self._ref} was {seen.state} when it was planned and is {now_is}"
                raise BackendError("conflict", message)
            detail = f"{self._ref} is still {run.state}"
        await self._work.end("preflight", "succeeded", detail)

    async def _send(self) -> str | None:
        """Returns what was seen already, where an answer was lost and had to be looked for."""
        work = self._work
        await work.begin("order")
        again = work.steps.happened("intent", "order") is not None
        seen = await self._seen() if again else None
        if seen is None:
            requested = {"kind": work.plan.kind, "ref": self._ref, "params": self.params}
            await work.intent("order", {}, requested)
            try:
                await self._send_it(self)
            except BackendError as error:
                if error.kind not in _AMBIGUOUS:
                    raise
                seen = await self._seen()
                if seen is None:
                    raise
        changes = Changes(changed=True, ref=self._ref) if self._ref else Changes(changed=True)
        await work.observed("order", {"seen": seen or "accepted"}, "applied", changes=changes)
        await work.end("order", "succeeded", seen or "accepted")
        return seen

    async def _seen(self) -> str | None:
        """What shows that the order was carried out, in words; None where nothing does in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WITHIN_S):
                while True:
                    with contextlib.suppress(BackendError):
                        if seen := await self._shows(self):
                            return seen
                    await asyncio.sleep(LOOK_AGAIN_S)
        return None


async def _shows_run(order: RunOrder) -> str | None:
    run = await _find(order.adapter, order.pipeline, order.run_id)
    return None if run is None else f"{run.ref} is {run.state}"


async def _shows_retry(order: RunOrder) -> str | None:
    """It runs, or has ended at another time than before: a retry may fail again before anybody looks."""
    run = await _find(order.adapter, order.pipeline, order.run_id)
    if run is None:
        return None
    again = order.seen is None or run.ended_at != order.seen.ended_at
    retried = again or run.state not in _ENDED or run.state == "success"
    return f"{run.ref} is {run.state}" if retried else None


async def _shows_end(order: RunOrder) -> str | None:
    run = await _find(order.adapter, order.pipeline, order.run_id)
    return None if run is None or run.state not in _ENDED else f"{run.ref} is {run.state}"


async def _shows_approval(order: RunOrder) -> str | None:
    run = await _find(order.adapter, order.pipeline, order.run_id)
    if run is None or any(each.mine for each in await order.adapter.approvals(run.pipeline, run.run_id)):
        return None
    return f"{run.ref} is {run.state}"


async def _shows_paused(order: RunOrder) -> str | None:
    paused = (await order.adapter.pipeline(order.pipeline)).paused
    return f"{order.pipeline} is paused" if paused else None


async def _shows_active(order: RunOrder) -> str | None:
    paused = (await order.adapter.pipeline(order.pipeline)).paused
    return None if paused else f"{order.pipeline} is active"


def _doing(look: _Look, send: _Send, shows: _Shows) -> Doing:
    async def run(work: Work, on: Ground) -> None:
        await RunOrder(work, on, send, shows).run()

    return Doing(plan=partial(_plan, look), covers=RunFacts, steps=lambda plan, entry: STEPS, run=run)


TRIGGER = _doing(_trigger, lambda it: it.adapter.trigger(it.pipeline, it.run_id, it.params), _shows_run)
RETRY = _doing(_retry, lambda it: it.adapter.retry(it.pipeline, it.run_id), _shows_retry)
CANCEL = _doing(_cancel, lambda it: it.adapter.cancel(it.pipeline, it.run_id), _shows_end)
APPROVE = _doing(_approve, lambda it: it.adapter.approve(it.pipeline, it.run_id, it.reason), _shows_approval)
PAUSE = _doing(_pause, lambda it: it.adapter.set_paused(it.pipeline, True), _shows_paused)
UNPAUSE = _doing(_unpause, lambda it: it.adapter.set_paused(it.pipeline, False), _shows_active)
