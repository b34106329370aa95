"""The rules and default actions of a service as they are now, with the marks on them, and all of them as one switch."""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from backends.aws.account import Account
from backends.deployments.alb.forwarding import (
    Action,
    Unclear,
    digest_of,
    rewritten,
    shares_in,
    stickiness_s,
    unknown_type,
)
from backends.deployments.alb.marks import Mark, Marks, read_marks
from backends.deployments.alb.places import Place
from backends.deployments.switch_format import percent
from backends.errors import BackendError
from backends.ports import SwitchState
from backends.text import clean
from backends.together import together

TAGGED_AT_ONCE = 20  # ARNs that one DescribeTags takes


class Rule(Struct, frozen=True, kw_only=True):
    """One of them. `shares`: percent by color; empty where nobody can tell, with the reason in `problem` and what to do
    in `fix`. `digest`: of the actions; `limits`: of the conditions and transforms; `priority`: `default` for a default
    action. `wrote`: the percent by color that the write of its mark made; empty where nobody can tell."""

    place: Place
    actions: list[Action]
    shares: dict[str, int]
    problem: str = ""
    fix: str = ""
    digest: str = ""
    limits: str = ""
    priority: str = ""
    marks: Marks = Marks()
    tags: dict[str, str] = {}
    wrote: dict[str, int] = {}

    @property
    def mark(self) -> Mark | None:
        """Of the write that made it what it is."""
        return self.marks.of(self.digest)

    @property
    def words(self) -> str:
        """`BLUE 90 % GREEN 10 %`."""
        return " ".join(f"{color.upper()} {share} %" for color, share in self.shares.items()) or self.problem

    def unwritable(self) -> str:
        """Why its actions can not be sent again; empty where they can."""
        if self.place.kind == "listener-rule" and self.priority == "default":
            return "it is the default of its listener: put the listener's ARN into `listeners`"
        kind = unknown_type(self.actions)
        return f"it has an action of type {kind}, which this program does not know and might change" if kind else ""


async def read_rules(account: Account, places: tuple[Place, ...], groups: dict[str, str]) -> list[Rule]:
    """All of them now, with their marks, in the order of `places`. Raises BackendError; `not_found` names the key of
    the config."""
    rules = [place.arn for place in places if place.kind == "listener-rule"]
    listeners = [place.arn for place in places if place.kind == "listener"]
    found, defaults, tags = await together(
        _described(account, "describe_rules", "Rules", "RuleArns", rules),
        _described(account, "describe_listeners", "Listeners", "ListenerArns", listeners),
        read_tags(account, [place.arn for place in places]),
    )
    by_arn = {each.get("RuleArn"): each for each in found} | {each.get("ListenerArn"): each for each in defaults}
    missing = [place for place in places if place.arn not in by_arn]
    if missing:
        raise not_there(missing[0])
    return [rule_of(place, by_arn[place.arn], groups, tags.get(place.arn, {})) for place in places]


async def read_tags(account: Account, arns: list[str]) -> dict[str, dict[str, str]]:
    """The tags of each. Raises BackendError."""
    chunks = [arns[at : at + TAGGED_AT_ONCE] for at in range(0, len(arns), TAGGED_AT_ONCE)]
    answers = await together(*(account.read("elbv2", "describe_tags", ResourceArns=chunk) for chunk in chunks))
    return {
        each["ResourceArn"]: {str(tag["Key"]): str(tag.get("Value", "")) for tag in each.get("Tags", ())}
        for answer in answers
        for each in answer.get("TagDescriptions", ())
    }


def rule_of(place: Place, answer: dict[str, Any], groups: dict[str, str], tags: dict[str, str] | None = None) -> Rule:
    """From what DescribeRules or DescribeListeners says of it."""
    actions = answer.get("Actions") or answer.get("DefaultActions") or []
    shares: dict[str, int] = {}
    problem = fix = ""
    try:
        shares = shares_in(actions, groups)
    except Unclear as unclear:
        problem, fix = str(unclear), unclear.fix
    limits = [answer.get("Conditions") or [], answer.get("Transforms") or []]
    digest, marks = digest_of(actions), read_marks(tags or {})
    return Rule(
        place=place, actions=actions, shares=shares, problem=problem, fix=fix, digest=digest,
        limits=hashlib.sha256(msgspec.json.encode(limits, order="deterministic")).hexdigest()[:16],
        priority="default" if answer.get("IsDefault") else clean(str(answer.get("Priority", "default")), 20),
        marks=marks, tags=tags or {}, wrote=_wrote(actions, groups, shares, digest, marks.of(digest)),
    )  # fmt: skip


def _wrote(
    actions: list[Action], groups: dict[str, str], shares: dict[str, int], digest: str, mark: Mark | None
) -> dict[str, int]:
    """Its digest tells: where nothing but weights was changed since, one split of all gives it."""
    if mark is None or not shares or len(groups) != 2:
        return {}
    if mark.digest == digest:
        return shares
    splits = (dict(zip(groups, (share, 100 - share), strict=True)) for share in range(101))
    return next((each for each in splits if digest_of(rewritten(actions, groups, each)) == mark.digest), {})


def combine(rules: list[Rule], colors: tuple[str, ...]) -> SwitchState:
    """All as one switch: their shares where they agree, else the mean with who says what in `detail`. The stamp is that
    of the newest write, so that a set that is half written can be told from somebody else's."""
    seen = hashlib.sha256()
    for rule in rules:
        mark = rule.mark
        who = f"{mark.number} {mark.fence} {mark.journal} {mark.stamp}" if mark else ""
        seen.update(f"{rule.place.arn}|{rule.digest}|{rule.limits}|{who}|".encode())
    marks = [rule.mark for rule in rules]
    newest = max(marks, key=lambda mark: mark.number if mark else 0)
    odd = next((f"{rule.place.words}: {rule.marks.odd}" for rule in rules if rule.marks.odd), "")
    unclear = [rule for rule in rules if not rule.shares]
    weights: dict[str, int] = {}
    parts: dict[str, dict[str, int]] = {}
    detail = "; ".join(f"{rule.place.words}: {rule.problem}" for rule in unclear)
    if unclear:
        detail += f"\n{unclear[0].fix}"
    else:
        weights = _as_one([rule.shares for rule in rules], colors)
        if any(rule.shares != weights for rule in rules):
            parts = {rule.place.arn: rule.shares for rule in rules}
            detail = "the rules differ: " + ", ".join(f"{rule.place.words} {rule.words}" for rule in rules)
    of_one = newest is not None and all(mark is not None and mark.stamp == newest.stamp for mark in marks)
    wrote = [rule.wrote for rule in rules] if of_one and all(rule.wrote for rule in rules) else []
    return SwitchState(
        weights=weights,
        revision=seen.hexdigest()[:16],
        detail=detail,
        stamp=newest.stamp if newest else "",
        fence=newest.fence if newest else 0,
        journal=newest.journal if newest else "",
        wrote=_as_one(wrote, colors),
        ended=newest is not None and all(mark is None or mark.ended for mark in marks),
        odd_mark=odd,
        parts=parts,
    )


def _as_one(parts: list[dict[str, int]], colors: tuple[str, ...]) -> dict[str, int]:
    """What all of them say, else the mean; nothing of nothing."""
    if not parts or all(part == parts[0] for part in parts):
        return parts[0] if parts else {}
    return percent({color: sum(part[color] for part in parts) for color in colors})


def sticky_s(rules: list[Rule]) -> int:
    """The longest time for which one of the rules keeps a client at the group that it met."""
    return max((stickiness_s(rule.actions) for rule in rules), default=0)


async def _described(account: Account, operation: str, key: str, asked: str, arns: list[str]) -> list[Any]:
    if not arns:
        return []
    try:
        return await account.pages("elbv2", operation, key, **{asked: arns})
    except BackendError as error:
        if error.kind != "not_found":
            raise
        where = "rules" if asked == "RuleArns" else "listeners"
        fix = f"correct `{where}` of the deployment, or region, account and profile under `aws`"
        raise BackendError("not_found", error.message, fix=fix, status=error.status) from None


def not_there(place: Place) -> BackendError:
    """That AWS does not know it, with the key of the config that names it."""
    key = "listeners" if place.kind == "listener" else "rules"
    return BackendError("not_found", f"AWS has no {clean(place.arn, 200)}", fix=f"correct `{key}` of the deployment")
