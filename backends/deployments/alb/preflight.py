"""What AWS says of a shift before it is made. Nothing is written: whether the writes are allowed is known when they are
made, since the API has no dry run."""

from backends.aws.access import Caller
from backends.aws.account import as_whom
from backends.deployments.alb.forwarding import stickiness_s
from backends.deployments.alb.health import Group
from backends.deployments.alb.rules import Rule
from backends.errors import BackendError
from backends.models import Finding

DELAY = "deregistration_delay.timeout_seconds"
SLOW_START = "slow_start.duration_seconds"


def identity(caller: Caller, account: str, region: str) -> Finding:
    """As whom, and where. Raises BackendError(auth) for the caller of another account than the rules are of."""
    if caller.account != account:
        words = f"AWS: {caller.arn} is of account {caller.account}, and the rules are of {account}"
        raise BackendError("auth", words, fix=f"a profile or role_arn of account {account} under `aws`")
    return as_whom(caller, region)


def of_rules(rules: list[Rule]) -> list[Finding]:
    """What can not be written, and where the rules disagree."""
    found = []
    for rule in rules:
        if why := rule.problem or rule.unwritable():
            fix = rule.fix or "see docs/aws.md: what is refused, and what to do there"
            found.append(Finding(level="block", code="rule", text=f"{rule.place.words}: {why}", fix=fix))
    known = [rule for rule in rules if rule.shares]
    if any(rule.shares != known[0].shares for rule in known):
        said = ", ".join(f"{rule.place.words} {rule.words}" for rule in known)
        fix = "the shift makes them agree; see who left them so"
        found.append(Finding(level="warning", code="rules-differ", text=f"the rules differ: {said}", fix=fix))
    return found


def of_targets(
    groups: dict[str, Group], before: dict[str, int], weights: dict[str, int], min_healthy: int, attach: str
) -> list[Finding]:
    """Healthy targets of what gains traffic, against those of what carries it now. `attach`: the command that puts a
    group at weight 0 into the rule."""
    found = []
    carrying = max((groups[color].healthy for color, weight in before.items() if weight), default=0)
    for color, group in groups.items():
        if weights.get(color, 0) <= before.get(color, 0):
            continue
        name = color.upper()
        if group.problem:
            found.append(Finding.block("capacity", f"{name}: {group.problem}", "see why its targets can not be read"))
        elif not group.is_attached:
            text = f"{name}: no rule forwards to {group.place.name}, so AWS checks none of its targets"
            found.append(Finding.block("unattached", text, f"attach it at weight 0 first: {attach}"))
        elif group.healthy < min_healthy:
            text = f"{name} has {group.words}, and at least {min_healthy} are wanted (an ALB without any sends to all)"
            found.append(Finding.block("capacity", text, f"make {name} healthy first: see its targets"))
        elif group.healthy < carrying:
            text = f"{name} has {group.healthy} healthy targets, and {carrying} carry the traffic now"
            fix = f"bring {name} to {carrying} first"
            found.append(Finding(level="block", code="capacity", text=text, fix=fix, overridable=True))
        else:
            text = f"{name} has {group.words}, {carrying} carry the traffic now"
            found.append(Finding(level="ok", code="capacity", text=text))
    return found


def of_times(rules: list[Rule], attributes: dict[str, dict[str, str]]) -> list[Finding]:
    """What keeps clients at the old side after the weights have moved. `attributes`: of each color's target group."""
    found = []
    sticky = [(rule, seconds) for rule in rules if (seconds := stickiness_s(rule.actions))]
    if sticky:
        rule, seconds = max(sticky, key=lambda one: one[1])
        text = (
            f"{rule.place.words} keeps a client at its group for {seconds} s, whatever its weight, also in a rollback"
        )
        fix = f"leave the old side up for {seconds} s; or turn target group stickiness off in the rule"
        found.append(Finding(level="warning", code="stickiness", text=text, fix=fix))
    delays = {color: seconds for color, own in attributes.items() if (seconds := seconds_in(own, DELAY))}
    if delays:
        said = ", ".join(f"{color.upper()} {seconds} s" for color, seconds in delays.items())
        found.append(Finding(level="ok", code="deregistration", text=f"a target that is taken out drains for: {said}"))
    slow = {color: seconds for color, own in attributes.items() if (seconds := seconds_in(own, SLOW_START))}
    if slow:
        said = ", ".join(f"{color.upper()} {seconds} s" for color, seconds in slow.items())
        text = f"new targets get their full share only after a slow start: {said}"
        fix = "count on uneven shares until then"
        found.append(Finding(level="warning", code="slow-start", text=text, fix=fix))
    return found


def seconds_in(attributes: dict[str, str], key: str) -> int:
    """What an attribute of a target group says; 0 for nothing."""
    text = attributes.get(key, "")
    return int(text) if text.isdecimal() else 0
