"""Orders to pipelines: trigger, retry, cancel, approve, pause and unpause, planned, sent once, and looked
for afterwards."""

import asyncio
import contextlib
from typing import Any

from msgspec import field

from actions.beside import unless
from actions.endings import OutOfTime
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import Policy, context_findings, with_overrides
from actions.ids import new_id, now
from actions.journal.rows import Changes
from actions.models import GUARD_CLASS, ActionError, Finding, Plan, PlanSummary, Refused, Request
from actions.targets import PipelinesTarget
from actions.work import Work, uninterrupted
from backends.command_line import command
from backends.errors import BackendError
from backends.models import PipelineRun
from backends.pipelines.params import problems, unknown_names
from backends.ports import Approval, PipelineInfo, Pipelines
from backends.text import clean

RUN_KINDS = frozenset({"trigger", "retry", "cancel", "approve", "pause", "unpause"})
RUN_STEPS = ("preflight", "order", "verify")
MAX_NAMED = 12
SEEN_WITHIN_S = 30.0
LOOK_AGAIN_S = 0.3
_ENDED = frozenset({"success", "failed", "cancelled", "skipped"})
_AMBIGUOUS = frozenset({"timeout", "unreachable", "malformed", "internal"})


class RunFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to a pipeline is agreed to with. `names`: the tasks that run again, or what is approved."""

    ref: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()


async def plan_run(request: Request, policy: Policy, target: PipelinesTarget) -> Plan:
    """What would be sent to the backend. Raises Refused for a pipeline or a run that is not there."""
    backend, _, pipeline = request.service.partition("/")
    if request.kind in ("retry", "cancel", "approve"):
        return await _plan_for_run(request, policy, target, backend, pipeline)
    info = await _info(target.adapter, pipeline, request.service)
    if request.kind == "trigger":
        params = " ".join(f"{key}={value}" for key, value in sorted(request.params.items())) or "its defaults"
        effect = f"trigger  {request.service} with {params}"
        bad = problems(info, request.params)
        findings = [Finding(level="block", code="param", text=text, fix="correct it") for text in bad]
        findings += [
            Finding(level="block", code="unknown-param", text=text, fix="correct it", overridable=True)
            for text in unknown_names(info, request.params)
        ]
        findings += _doubts(info)
        return _plan(request, policy, target, "", "queued", (effect,), findings, {"run_id": f"manual__{new_id()}"})
    wanted = "paused" if request.kind == "pause" else "active"
    found = "paused" if info.paused else "active"
    effect = f"schedule  {request.service}: {found} → {wanted}"
    return _plan(request, policy, target, found, wanted, (effect,), [], {}, already=found == wanted)


async def _plan_for_run(request: Request, policy: Policy, target: PipelinesTarget, backend: str, pipeline: str) -> Plan:
    run_id = request.ref.removeprefix(f"{backend}/{pipeline}/")
    run = await _find(target.adapter, pipeline, run_id)
    if run is None:
        message = f"no run {clean(request.ref, 200)}"
        raise Refused(5, ActionError(kind="not_found", message=message, fix="`teal run list`"))
    findings: list[Finding] = []
    effects: tuple[str, ...] = ()
    names: list[str] = []
    already = False
    to = "cancelled"
    if request.kind == "retry":
        names, effects, findings = await _retry(target.adapter, run)
        to = "queued"
    elif request.kind == "approve":
        names, effects, findings = await _approval(target.adapter, run)
        to = "running"
    else:
        effects = (f"cancel  {run.ref}",)
        already = run.state in _ENDED
    expected = {"run_id": run_id, "state": run.state, "started_at": run.started_at, "ended_at": run.ended_at}
    if already:
        to = run.state
    return _plan(request, policy, target, run.state, to, effects, findings, expected, already, names)


async def _retry(adapter: Pipelines, run: PipelineRun) -> tuple[list[str], tuple[str, ...], list[Finding]]:
    if run.state not in ("failed", "cancelled", "skipped"):
        text = f"{run.ref} is {run.state}: only an ended run that did not succeed is retried"
        return [], (), [Finding(level="block", code="run-state", text=text, fix="wait, cancel it, or trigger anew")]
    tasks = await adapter.retry_preview(run.pipeline, run.run_id)
    effect = f"retry  {len(tasks)} of the tasks of {run.ref}: {_named(tasks)}"
    if not tasks:
        text = f"no task of {run.ref} would run again"
        return [], (), [Finding(level="block", code="nothing-to-retry", text=text, fix="trigger anew")]
    return tasks, (effect,), []


async def _approval(adapter: Pipelines, run: PipelineRun) -> tuple[list[str], tuple[str, ...], list[Finding]]:
    waiting = await adapter.approvals(run.pipeline, run.run_id)
    mine = [each.name for each in waiting if each.mine]
    if mine:
        others = [each for each in waiting if not each.mine]
        findings = [Finding(level="warning", code="others", text=_not_mine(each)) for each in others]
        return mine, (f"approve  {_named(mine)} of {run.ref}",), findings
    text = "; ".join(_not_mine(each) for each in waiting) or f"nothing in {run.ref} waits for an approval"
    return [], (), [Finding(level="block", code="no-approval", text=text, fix="`teal run show` says what it waits for")]


def _not_mine(approval: Approval) -> str:
    return f"{approval.name} waits for somebody else" + (f": {approval.detail}" if approval.detail else "")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _plan(
    request: Request,
    policy: Policy,
    target: PipelinesTarget,
    from_: str,
    to: str,
    effects: tuple[str, ...],
    findings: list[Finding],
    expected: dict[str, Any],
    already: bool = False,
    names: list[str] | None = None,
) -> Plan:
    guard_class = GUARD_CLASS[request.kind]
    at = now()
    if not already:
        findings = [*findings, *context_findings(policy, guard_class, at)]
    agreed = hash_of(
        RunFacts(
            kind=request.kind, context=policy.context, service=request.service, from_=from_, to=to,
            target=driven(target.target), ref=request.ref, params=request.params, names=tuple(names or ()),
        )
    )  # fmt: skip
    return Plan(
        kind=request.kind, context=policy.context, service=request.service, guard_class=guard_class,
        protected=policy.protected, from_=from_, to=to, findings=with_overrides(findings, request.overrides),
        summary=PlanSummary(
            effects=() if already else effects,
            preconditions=(f"it is still {from_}",) if from_ and not already else (),
            undo="" if already else _undo(request),
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=at, already=already, expected=expected,
        target=target.target, request=request,
    )  # fmt: skip


def _undo(request: Request) -> str:
    pipeline = request.service.partition("/")[2]
    words = {"pause": command("run unpause", pipeline), "unpause": command("run pause", pipeline)}
    return words.get(request.kind, "")


def _doubts(info: PipelineInfo) -> list[Finding]:
    findings = []
    if info.note:
        findings.append(Finding(level="warning", code="note", text=f"{info.pipeline}: {info.note}"))
    if not info.paused:
        return findings
    text = f"the schedule of {info.pipeline} is paused: the run may wait until it is not"
    fix = command("run unpause", info.pipeline)
    return [*findings, Finding(level="warning", code="paused", text=text, fix=fix)]


async def _info(adapter: Pipelines, pipeline: str, service: str) -> PipelineInfo:
    try:
        return await adapter.pipeline(pipeline)
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


class RunOrder:
    """One order to a pipeline. `reason` goes with an approval; `run` returns when the action has ended."""

    def __init__(self, work: Work, target: PipelinesTarget, reason: str) -> None:
        self._work = work
        self._adapter = target.adapter
        self._request = work.plan.request
        self._reason = reason
        self._backend, _, self._pipeline = self._request.service.partition("/")
        self._run_id: str = work.plan.expected.get("run_id", "")
        self._ref = f"{self._backend}/{self._pipeline}/{self._run_id}" if self._run_id else ""

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
            if work.happened("intent", "order") is not None:
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
        expected = self._work.plan.expected
        if "state" in expected and self._work.happened("intent", "order") is None:
            run = await _find(self._adapter, self._pipeline, self._run_id)
            if run is None or run.state != expected["state"]:
                now_is = "gone" if run is None else run.state
                message = f"{self._ref} was {expected['state']} when it was planned and is {now_is}"
                raise BackendError("conflict", message)
            detail = f"{self._ref} is still {run.state}"
        await self._work.end("preflight", "succeeded", detail)

    async def _send(self) -> str | None:
        """Returns what was seen already, where an answer was lost and had to be looked for."""
        work = self._work
        await work.begin("order")
        again = work.happened("intent", "order") is not None
        seen = await self._seen() if again else None
        if seen is None:
            requested = {"kind": self._request.kind, "ref": self._ref, "params": self._request.params}
            await work.intent("order", {}, requested)
            try:
                await self._order()
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

    async def _order(self) -> None:
        adapter, pipeline = self._adapter, self._pipeline
        match self._request.kind:
            case "trigger":
                await adapter.trigger(pipeline, self._run_id, self._request.params)
            case "retry":
                await adapter.retry(pipeline, self._run_id)
            case "cancel":
                await adapter.cancel(pipeline, self._run_id)
            case "approve":
                await adapter.approve(pipeline, self._run_id, self._reason)
            case "pause" | "unpause":
                await adapter.set_paused(pipeline, self._request.kind == "pause")
            case kind:
                raise BackendError("internal", f"{kind} is no order to a pipeline")

    async def _seen(self) -> str | None:
        """What shows that the order was carried out, in words; None where nothing does in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WITHIN_S):
                while True:
                    with contextlib.suppress(BackendError):
                        if seen := await self._look():
                            return seen
                    await asyncio.sleep(LOOK_AGAIN_S)
        return None

    async def _look(self) -> str | None:
        kind = self._request.kind
        if kind in ("pause", "unpause"):
            paused = (await self._adapter.pipeline(self._pipeline)).paused
            word = "paused" if paused else "active"
            return f"{self._pipeline} is {word}" if paused is (kind == "pause") else None
        run = await _find(self._adapter, self._pipeline, self._run_id)
        if run is None:
            return None
        if kind == "cancel" and run.state not in _ENDED:
            return None
        if kind == "retry" and not self._was_retried(run):
            return None
        if kind == "approve" and any(each.mine for each in await self._adapter.approvals(run.pipeline, run.run_id)):
            return None
        return f"{run.ref} is {run.state}"

    def _was_retried(self, run: PipelineRun) -> bool:
        """It runs, or has ended at another time than before: a retry may fail again before anybody looks."""
        ended_at = self._work.plan.expected.get("ended_at")
        ended = run.ended_at.isoformat().replace("+00:00", "Z") if run.ended_at else None
        return run.state not in _ENDED or run.state == "success" or ended != ended_at
