"""What a Rollout says, in words: where it waits, how far it is, what it has not acted on, which orders it takes."""

from datetime import timedelta
from typing import Literal

from backends.deployments.argo_rollouts.wire import ReplicaSet, Rollout, pause_seconds, step_words
from backends.models import OrderName, Revision
from backends.ports import Operation, Pause
from backends.redaction import quoted

ABORTED = "spec-not-back"
"""That a version was taken back, and the spec still holds it."""
INCONCLUSIVE = "InconclusiveAnalysisRun"
BY_HAND = "spec.paused"


def pause_of(rollout: Rollout) -> Pause | None:
    """Where it waits now; None where it goes on."""
    status = rollout.status
    if rollout.spec.paused:
        return Pause(id=f"{BY_HAND}:{rollout.metadata.generation}", why="somebody's pause (spec.paused)")
    if not status.pause_conditions:
        return None
    first = status.pause_conditions[0]
    began = first.start_time
    lasts: float | None = None
    then: Literal["promote", ""] = ""
    strategy, step = rollout.spec.strategy, status.current_step_index
    if first.reason == "BlueGreenPause" and strategy.blue_green is not None:
        if strategy.blue_green.auto_promotion_enabled and strategy.blue_green.auto_promotion_seconds:
            lasts, then = float(strategy.blue_green.auto_promotion_seconds), "promote"
    elif first.reason == "CanaryPauseStep" and step is not None and step < len(rollout.spec.steps):
        lasts = pause_seconds(rollout.spec.steps[step])
    until = began + timedelta(seconds=lasts) if began is not None and lasts is not None else None
    ident = f"{status.current_pod_hash}:{first.reason}:{step}:{began.isoformat() if began else ''}"
    return Pause(id=ident, why=quoted(first.reason, 64), since=began, until=until, then=then)


def unanswered_words(rollout: Rollout) -> str:
    """What was written and the controller has not acted on; empty for nothing."""
    status, metadata = rollout.status, rollout.metadata
    if not rollout.is_seen:
        seen = quoted(status.observed_generation, 32) or "none"
        return f"the controller has not seen generation {metadata.generation} (seen: {seen})"
    waits = bool(status.pause_conditions) or rollout.spec.paused
    if status.phase == "Paused" and (not waits or status.promote_full):
        return "no effect seen of a promote: the status still says Paused"
    if status.abort and status.aborted_at is None:
        return "no effect seen of an abort: the controller has not noted it"
    if not status.abort and status.aborted_at is not None:
        return "no effect seen of a retry: the status still says when it was aborted"
    return ""


def detail_of(
    rollout: Rollout, current: ReplicaSet | None, stable: ReplicaSet | None, shares: dict[str, int], *, is_open: bool
) -> list[str]:
    """How far the newest change is, in parts."""
    status, steps = rollout.status, rollout.spec.steps
    said = quoted(status.message)
    if not is_open:
        words = "aborted" if status.abort else "completed"
        return [f"{words}: {said}" if said and status.phase != "Healthy" else words]
    parts = []
    at = status.current_step_index
    if status.abort:
        parts.append("goes back")
    elif at is not None and at < len(steps):
        parts.append(f"step {at + 1} of {len(steps)} ({step_words(steps[at])})")
    if current is not None and current is not stable:
        ready, wanted = current.status.available_replicas, current.spec.replicas
        parts.append(f"{ready} of {wanted} new pods ready")
    if moved := shares.get("candidate"):
        weights = status.canary.weights
        unproven = weights is not None and weights.verified is False
        parts.append(f"{moved} % of the traffic" + (" (the load balancer does not show it yet)" if unproven else ""))
        if rollout.spec.strategy.blue_green is not None and not status.abort:
            parts.append("switched, and judged before it ends")
    pause = pause_of(rollout) if not status.abort else None
    if pause is not None:
        parts.append(pause.words)
    elif said:
        parts.append(said)
    return parts


def why_not(
    rollout: Rollout, newest: Operation | None, before: Revision | None, *, returned: bool
) -> dict[OrderName, str]:
    """For each order why it is not taken now; empty: it is."""
    name, spec = quoted(rollout.metadata.name, 128), rollout.spec
    open_ = newest if newest is not None and newest.open else None
    aborted = newest is not None and (newest.still_wanted or newest.back)
    busy = f"{open_.name} is under way: {open_.detail}" if open_ else ""
    idle = "" if open_ else "nothing is under way"
    back = "it is on its way back" if open_ and open_.back else ""
    by_hand = "somebody paused it (spec.paused): resume it first"
    waits = open_.pause if open_ else None
    return {
        "release": busy or _unfit(rollout, newest),
        "promote": (
            "it is aborted: `retry` is the way forward" if aborted else ""
        ) or idle or _no_promote(waits, by_hand),
        "abort": idle or back,
        "rollback": busy or _no_way_back(rollout, newest, before, returned=returned),
        "retry": "" if aborted else "it is not aborted: retry is for what was aborted",
        "pause": "it is paused already" if spec.paused else "",
        "resume": "" if spec.paused else f"nobody paused it: spec.paused of Rollout {name} is not set",
        "restart": _no_restart(rollout, by_hand),
        "retire": "Argo Rollouts takes the old pods down itself, after scaleDownDelaySeconds",
    }  # fmt: skip


def _no_restart(rollout: Rollout, by_hand: str) -> str:
    spec, name = rollout.spec, quoted(rollout.metadata.name, 128)
    if spec.paused:
        return by_hand
    if spec.replicas == 0:
        return f"Rollout {name} is scaled to zero: it has no pods"
    if spec.restart_at and spec.restart_at != rollout.status.restarted_at:
        return f"it restarts already, what was there at {quoted(spec.restart_at, 32)}"
    return ""


def forms_of(rollout: Rollout, newest: Operation | None) -> tuple[str, ...]:
    """What of its safety a promote may skip now, each by its own word."""
    if newest is None or not newest.open or newest.back or not rollout.is_seen:
        return ()
    at = rollout.status.current_step_index
    in_step = at is not None and at < len(rollout.spec.steps)
    return ("full", "skip-step") if in_step else ("full",)


def _no_promote(waits: Pause | None, by_hand: str) -> str:
    if waits is None:
        return "it waits for nobody; `promote --skip-step` skips the step that it is in, `promote --full` all of them"
    if waits.id.startswith(BY_HAND):
        return by_hand
    if INCONCLUSIVE in waits.id:
        return "an analysis was inconclusive; `promote --skip-step` goes on in spite of it, abort goes back"
    return ""


def _unfit(rollout: Rollout, newest: Operation | None) -> str:
    """Why nothing can be released there as it stands."""
    name, spec = quoted(rollout.metadata.name, 128), rollout.spec
    if spec.workload_ref is not None:
        kind, other = quoted(spec.workload_ref.kind, 32), quoted(spec.workload_ref.name, 128)
        way = f"`kubectl set image {kind.lower()}/{other} CONTAINER=IMAGE` releases"
        return f"Rollout {name} takes its template from {kind} {other} (workloadRef): {way}"
    if spec.paused:
        return "somebody paused it (spec.paused), and nothing that it is told goes out: resume it first"
    if spec.replicas == 0:
        return f"Rollout {name} is scaled to zero: nothing would run; scale it up first"
    if spec.template is None:
        return f"Rollout {name} has no template"
    if newest is not None and newest.state == "open":
        return ""
    if newest is not None and newest.still_wanted:
        back = newest.source.words if newest.source else "the stable version"
        ways = f"`rollback` puts {back} back into the spec, `retry` goes forward to it again"
        return f"{newest.target.words} was aborted and is still in the spec: {ways}"
    invalid = next((c for c in rollout.status.conditions or () if (c.type, c.status) == ("InvalidSpec", "True")), None)
    return f"its spec is invalid: {quoted(invalid.message)}" if invalid is not None else ""


def _no_way_back(rollout: Rollout, newest: Operation | None, before: Revision | None, *, returned: bool) -> str:
    if (ref := rollout.spec.workload_ref) is not None:
        undo = f"`kubectl rollout undo {quoted(ref.kind, 32).lower()}/{quoted(ref.name, 128)}`"
        return f"its template is that of {quoted(ref.kind, 32)} {quoted(ref.name, 128)} (workloadRef): {undo}"
    if newest is not None and newest.still_wanted:
        return "" if newest.source is not None else "no ReplicaSet of the stable version is left"
    if returned:
        return "the newest change was a way back"
    return "" if before is not None else "no other revision is there"
