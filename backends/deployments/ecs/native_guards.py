"""What guards a deployment that ECS makes, and what pauses it: told before one is begun."""

from collections.abc import Collection
from typing import Any

from backends.aws.account import Account
from backends.models import Finding
from backends.redaction import quoted


def guard_findings(config: dict[str, Any]) -> list[Finding]:
    """Whether ECS would notice that a version is bad."""
    breaker, alarms = config.get("deploymentCircuitBreaker") or {}, config.get("alarms") or {}
    if breaker.get("enable") or alarms.get("enable"):
        back = [name for name, each in (("circuit breaker", breaker), ("alarms", alarms)) if each.get("rollback")]
        said = f"ECS goes back by itself: {' and '.join(back)}" if back else "ECS stops by itself, and does not go back"
        return [Finding(level="ok" if back else "warning", code="guards", text=said, fix="" if back else "rollback")]
    text = "no circuit breaker and no alarms: ECS itself goes back for nothing but a failed hook"
    return [Finding(level="warning", code="guards", text=text, fix="deploymentCircuitBreaker or alarms of the service")]


def hook_findings(config: dict[str, Any]) -> list[Finding]:
    """Each hook that waits for a person, and what ECS does where nobody comes."""
    found = []
    for hook in config.get("lifecycleHooks") or []:
        if hook.get("targetType") != "PAUSE":
            continue
        stages, ends = ", ".join(hook.get("lifecycleStages") or []), hook.get("timeoutConfiguration") or {}
        minutes, then = ends.get("timeoutInMinutes", 1440), ends.get("action", "ROLLBACK")
        if then == "CONTINUE":
            text = f"it waits at {stages}, and PROMOTES ITSELF after {minutes} min where nobody answers"
            found.append(Finding(level="warning", code="pause", text=text, fix="be there, or action = ROLLBACK"))
        else:
            text = f"it waits at {stages} for `promote`, and goes back after {minutes} min where nobody answers"
            found.append(Finding(level="ok", code="pause", text=text))
    return found


def waits_in(config: dict[str, Any], stages: Collection[str]) -> bool:
    """Whether a hook waits for a person in one of `stages`."""
    pauses = (hook for hook in config.get("lifecycleHooks") or [] if hook.get("targetType") == "PAUSE")
    return any(set(hook.get("lifecycleStages") or []) & set(stages) for hook in pauses)


async def alarm_findings(account: Account, config: dict[str, Any]) -> list[Finding]:
    """An alarm that is red now would end the deployment at once. Raises BackendError."""
    alarms = config.get("alarms") or {}
    names = [str(name) for name in alarms.get("alarmNames") or []]
    if not alarms.get("enable") or not names:
        return []
    return await red_alarms(account, names)


async def red_alarms(account: Account, names: list[str]) -> list[Finding]:
    """Those of `names` that are in alarm. Raises BackendError."""
    answer = await account.read("cloudwatch", "describe_alarms", AlarmNames=names, StateValue="ALARM")
    red = [*answer.get("MetricAlarms", []), *answer.get("CompositeAlarms", [])]
    on = ", ".join(quoted(str(each.get("AlarmName", "?"))) for each in red if each.get("StateValue") == "ALARM")
    if not on:
        return [Finding(level="ok", code="alarms", text=f"its alarms are quiet: {', '.join(map(quoted, names))}")]
    text = f"in alarm now: {on}: it would be taken back at once"
    return [
        Finding(level="block", code="alarms", text=text, fix="see why, and wait until it is quiet", overridable=True)
    ]
