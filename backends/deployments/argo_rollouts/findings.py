"""What pauses, judges and takes back a change of a Rollout: told before one is begun."""

from backends.deployments.argo_rollouts.analysis import judged_by
from backends.deployments.argo_rollouts.state import Seen
from backends.deployments.argo_rollouts.wire import BlueGreen, Canary, Rollout, step_words
from backends.models import Finding


def strategy_findings(rollout: Rollout) -> list[Finding]:
    """How it goes on by itself, and whether anything would notice that a version is bad."""
    strategy = rollout.spec.strategy
    if strategy.blue_green is not None:
        return _blue_green(strategy.blue_green)
    if strategy.canary is not None:
        return _canary(strategy.canary)
    text = "it has neither blueGreen nor canary: its controller calls the spec invalid"
    return [Finding.block("strategy", text, "spec.strategy of the Rollout")]


def rollback_findings(seen: Seen, revision: str) -> list[Finding]:
    """Whether the pods of that revision are up, or what runs again."""
    newest, found = seen.state.newest, seen.by_hash.get(revision)
    if found is None:
        return [
            Finding.block("revision", f"Rollout {seen.name} keeps no such revision any more", "release the version")
        ]
    up = f"{found.status.available_replicas} of {found.spec.replicas} pods of revision {found.revision} are up"
    if newest is not None and newest.still_wanted:
        return [Finding(level="ok", code="way-back", text=f"{up}: only the spec is put back")]
    if at_once := seen.state.at_once:
        return [Finding(level="ok", code="way-back", text=at_once)]
    steps = [step_words(step) for step in seen.rollout.spec.steps]
    its = "its 1 step runs" if len(steps) == 1 else f"its {len(steps)} steps run"
    again = f"{its} again ({', '.join(steps[:6])})" if steps else "it is brought up anew"
    return [Finding(level="warning", code="way-back", text=f"{up}; {again}", fix="promote --full skips what is left")]


def _blue_green(strategy: BlueGreen) -> list[Finding]:
    judges = [
        f"{when} by {judged_by(analysis)}"
        for when, analysis in (
            ("before", strategy.pre_promotion_analysis), ("after", strategy.post_promotion_analysis),
        ) if analysis
    ]  # fmt: skip
    found = [_judged([f"judged {each} the traffic moves" for each in judges])]
    if not strategy.auto_promotion_enabled:
        return [*found, Finding(level="ok", code="pause", text="it waits for `promote` before the traffic moves")]
    after = f" after {strategy.auto_promotion_seconds} s" if strategy.auto_promotion_seconds else ""
    text = f"it PROMOTES ITSELF{after or ' as soon as its pods are ready'} (autoPromotionEnabled)"
    return [*found, Finding(level="warning", code="pause", text=text, fix="be there, or autoPromotionEnabled: false")]


def _canary(strategy: Canary) -> list[Finding]:
    steps = strategy.steps or []
    told = [f"judged all along by {judged_by(strategy.analysis)}"] if strategy.analysis else []
    told += [f"judged in step {n} by {judged_by(s['analysis'])}" for n, s in enumerate(steps, 1) if "analysis" in s]
    found = [_judged(told)]
    waits = [n for n, step in enumerate(steps, 1) if "pause" in step and not (step["pause"] or {}).get("duration")]
    words = ", ".join(step_words(step) for step in steps[:8]) or "none: all pods are replaced one after the other"
    text = f"steps: {words}"
    if waits:
        text += f"; it waits for `promote` in step {', '.join(map(str, waits))}"
        return [*found, Finding(level="ok", code="pause", text=text)]
    fix = "be there, or a step `pause: {}`"
    return [*found, Finding(level="warning", code="pause", text=f"{text}; it goes on BY ITSELF to 100 %", fix=fix)]


def _judged(told: list[str]) -> Finding:
    if told:
        return Finding(level="ok", code="guards", text="; ".join(told))
    text, fix = "no analysis judges it: it goes back for nothing but an abort", "an AnalysisTemplate in its strategy"
    return Finding(level="warning", code="guards", text=text, fix=fix)
