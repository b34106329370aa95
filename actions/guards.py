"""Who may do what, when, and with which words: the table of docs/contract.md, Guards, as pure functions, the same for
every door."""

import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from actions.facts import PREFIX, digits, shortened
from actions.models import ActionError, Consent, Finding, GuardClass, Plan, Refused

MIN_HASH_CHARS = 6
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(r"\s*([A-Za-z]{3})\s+(\d{1,2}):(\d{2})\s*-\s*([A-Za-z]{3})\s+(\d{1,2}):(\d{2})\s*")
_MINUTES_A_WEEK = 7 * 24 * 60


class Policy(Struct, frozen=True, kw_only=True):
    """What a context says about writing. `shared_journal`: every console of this context sees this journal; `lock` is
    "local" where an operator said that he knows it does not. `doubts`: what is wrong
    with the config and forbids only the way forward. `notes` are findings that every plan shows, `host` what of
    this host speaks against class 3: a warning, and a block where the context is protected."""

    context: str
    protected: bool = False
    read_only: bool = False
    freeze: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    zone: tzinfo
    lock: str = ""
    shared_journal: bool = False
    notes: tuple[Finding, ...] = ()
    host: tuple[Finding, ...] = ()


def freeze_problem(window: str) -> str:
    """Why `window` is not understood; empty where it is."""
    try:
        _minutes(window)
    except ValueError as error:
        return str(error)
    return ""


def in_window(window: str, at: datetime, zone: tzinfo) -> bool:
    """Whether `at` lies in `Fri 16:00 - Mon 08:00`, local time of `zone`. Raises ValueError."""
    begin, end = _minutes(window)
    local = at.astimezone(zone)
    minute = local.weekday() * 1440 + local.hour * 60 + local.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def read_only(policy: Policy) -> Finding:
    """Against every order from there, whatever it would do: also against one for what is so already."""
    text = f"context {policy.context} is read-only: nothing is written from here, not even a rollback"
    return Finding(level="block", code="read-only", text=text, fix="use a console whose config may write")


def context_findings(policy: Policy, guard_class: GuardClass, at: datetime) -> list[Finding]:
    """What the context itself says against an action of that class now."""
    if policy.read_only:
        return [read_only(policy)]
    if guard_class != "3":
        return []
    level: Literal["block", "warning"] = "block" if policy.protected else "warning"
    host = [replace(finding, level=level) for finding in policy.host]
    fix = "correct it, then run `teal config validate`"
    doubts = [Finding(level="block", code="config", text=words, fix=fix) for words in policy.doubts]
    return [*doubts, *_freeze_findings(policy, at), *_lock_findings(policy), *host]


def with_overrides(findings: Iterable[Finding], overrides: Iterable[str]) -> tuple[Finding, ...]:
    """A block that may be overridden and was becomes a warning that says so."""
    named = set(overrides)
    return tuple(
        replace(finding, level="warning", text=f"{finding.text} (overridden)")
        if finding.level == "block" and finding.overridable and finding.code in named
        else finding
        for finding in findings
    )


def way_past(finding: Finding) -> str:
    """What to do about it, and the override where there is one."""
    override = f'--override {finding.code} --reason "…"' if finding.level == "block" and finding.overridable else ""
    return "; or ".join(part for part in (finding.fix, override) if part)


def refusal(policy: Policy, plan: Plan, consent: Consent) -> ActionError | None:
    """Why `plan` must not be executed with this consent; None where it may."""
    blocks = [finding for finding in plan.findings if finding.level == "block"]
    if blocks:
        return ActionError(kind="refused", message=blocks[0].text, fix=way_past(blocks[0]))
    if plan.guard_class == "0":
        return None
    if consent.typed_context and consent.typed_context != policy.context:
        message = f"{consent.typed_context} was typed, and this is {policy.context}"
        return _missing(message, "check the context: -C NAME")
    if policy.protected and plan.guard_class in ("2", "3"):
        named = consent.typed_context == policy.context
        if not named and not (plan.guard_class == "2" and consent.armed):
            return _missing(
                f"context {policy.context} is protected and was not named",
                f"add --confirm {policy.context}, or press ! in the console",
            )
        if not consent.reason.strip():
            return _missing(f"context {policy.context} is protected: a reason is required", '--reason "…"')
    if plan.needs_reason and not consent.reason.strip():
        return _missing(plan.needs_reason, '--reason "…"')
    if plan.request.overrides and not consent.reason.strip():
        return _missing("a guard is only overridden with a reason", '--reason "…"')
    if not consent.confirmed:
        return _missing("not confirmed", "add -y to do it" if not consent.interactive else "confirm the plan")
    return None


def _missing(message: str, fix: str) -> ActionError:
    return ActionError(kind="refused", message=message, fix=fix)


def _freeze_findings(policy: Policy, at: datetime) -> list[Finding]:
    findings = []
    for window in policy.freeze:
        try:
            frozen = in_window(window, at, policy.zone)
        except ValueError as error:
            text = f"a freeze window is not understood: {error}"
            findings.append(Finding(level="block", code="freeze", text=text, fix="correct `freeze`", overridable=True))
            continue
        if frozen:
            text = f"frozen: {window} ({policy.zone})"
            fix = "wait until it ends"
            findings.append(Finding(level="block", code="freeze", text=text, fix=fix, overridable=True))
    return findings


def _lock_findings(policy: Policy) -> list[Finding]:
    if not policy.protected or policy.shared_journal or policy.lock == "local":
        return []
    text = f"context {policy.context} is protected, and its lock is not shared: another console could act too"
    fix = 'set a shared `journal`, or lock = "local" where only this host acts'
    return [Finding(level="block", code="private-lock", text=text, fix=fix)]


def _minutes(window: str) -> tuple[int, int]:
    found = _WINDOW.fullmatch(window)
    if found is None:
        raise ValueError(f'"{window}" is not like "Fri 16:00 - Mon 08:00"')
    return _minute(window, *found.group(1, 2, 3)), _minute(window, *found.group(4, 5, 6))


def _minute(window: str, day: str, hour: str, minute: str) -> int:
    if day.lower() not in _DAYS or int(hour) > 24 or int(minute) > 59 or (int(hour) == 24 and int(minute)):
        raise ValueError(f'"{window}": {day} {hour}:{minute} is no time of a week')
    return (_DAYS.index(day.lower()) * 1440 + int(hour) * 60 + int(minute)) % _MINUTES_A_WEEK


def must_be_named(plan: Plan, given: str) -> None:
    """Raises Refused (6) where `given` is not the hash of `plan`, or the beginning of it."""
    named = digits(given)
    if len(named) < MIN_HASH_CHARS:
        words = f"--plan-hash of {len(named)} characters is too short to name a plan"
        raise Refused(6, ActionError(kind="conflict", message=words, fix=f"at least {MIN_HASH_CHARS}"))
    if not plan.full_hash.startswith(PREFIX + named):
        message = f"changed since the plan: it was {shortened(PREFIX + named)}, now it is {plan.hash}"
        detail = f": {plan.from_} → {plan.to}" if plan.to else ""
        error = ActionError(kind="conflict", message=message + detail, fix="look at the new plan, then agree to it")
        raise Refused(6, error, findings=plan.findings)
