"""Orders to a system of alerts, planned: acknowledge, silence, extend, unsilence, with what they would hide now."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from shlex import quote

from msgspec import UNSET, Struct

from actions.doing import Desk
from actions.expected import KnownSilence, NewSilence, SilenceExpected
from actions.facts import Facts, driven, hash_of, shortened
from actions.guards import context_findings, with_overrides
from actions.ids import now, time_text
from actions.kinds import kind_of
from actions.models import ActionError, Finding, GuardClass, Plan, PlanSummary, Refused, Request
from actions.targets import SilencerTarget
from backends.alerts.matchers import embraces_all, in_words
from backends.alerts.naming import alert_words
from backends.alerts.silences import ends_then, equal_silence, lasts
from backends.command_line import command
from backends.errors import BackendError
from backends.models import Alert, Matcher, Silence
from backends.ports import Silencer
from backends.settings import Duration
from backends.text import clean
from backends.times import local_words
from backends.together import together

SHORT_S = 7200.0
LONG_S = 86400.0
LONGEST_S = 366 * 86400.0
MAX_MATCHES = 100
SERVICE_LABELS = ("service", "app", "pipeline", "dag_id")
_SHOWN = 5


class AlertFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to a system of alerts is agreed to with. `matchers`, `by` and `silence` (its id) are those of the
    silence that is made, extended or ended; one that is made has an id only where an equal one is there."""

    ref: str = ""
    for_s: float = 0.0
    until: datetime | None = None
    matchers: tuple[Matcher, ...] = ()
    by: str = ""
    silence: str = ""
    also: tuple[str, ...] = ()


class Order(Struct, frozen=True, kw_only=True):
    """What an order comes to: a state from → to, effects that are agreed to and facts that may change meanwhile."""

    from_: str = ""
    to: str = ""
    effects: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    undo: str = ""
    already: bool = False
    expected: SilenceExpected
    about: str = ""
    matchers: tuple[Matcher, ...] = ()
    by: str = ""
    silence: str = ""


class Asked(Struct, frozen=True, kw_only=True):
    """What an order is looked at by. `by`: whoever asks; `until`: when the silence would end."""

    request: Request
    target: SilencerTarget
    for_s: float
    until: datetime
    by: str
    zone: tzinfo


Look = Callable[[Asked], Awaitable[Order]]


async def plan_alert(look: Look, usual_s: float | None, request: Request, desk: Desk) -> Plan:
    """What would be sent, and what it would hide now; `usual_s`: how long it lasts where nobody says, None where it has
    no time. Raises Refused for an alert or a silence that is not there."""
    target, policy = await desk.targets.silencer(request.service.partition("/")[0]), desk.policy
    for_s = 0.0 if usual_s is None else _lasting(request, usual_s)
    by = clean(str(desk.actor), 100)
    until = request.until or now() + timedelta(seconds=for_s)
    order = await look(Asked(request=request, target=target, for_s=for_s, until=until, by=by, zone=policy.zone))
    guard_class: GuardClass = "2" if for_s > SHORT_S else kind_of(request.kind).guard_class
    at = now()
    findings = [] if order.already else [*order.findings, *context_findings(policy, guard_class, at)]
    agreed = hash_of(
        AlertFacts(
            kind=request.kind, context=policy.context, service=request.service, from_=order.from_, to=order.to,
            target=driven(target.entry), ref=request.ref,
            for_s=0.0 if request.until else for_s, until=request.until or None, matchers=order.matchers, by=order.by,
            silence=order.silence, also=tuple(map(str, request.params.get("also", ()))),
        )
    )  # fmt: skip
    return Plan(
        kind=request.kind, context=policy.context, service=request.service, guard_class=guard_class,
        protected=policy.protected, from_=order.from_, to=order.to,
        findings=with_overrides(findings, request.overrides),
        summary=PlanSummary(
            effects=() if order.already else (*order.effects, *order.facts),
            preconditions=(), undo="" if order.already else order.undo,
        ),
        hash=shortened(agreed), full_hash=agreed, made_at=at, already=order.already,
        expected=order.expected, target=target.entry.kept(), request=request,
        about=clean(order.about, 200),
        needs_reason=f"over {Duration(LONG_S)} only with a reason" if for_s > LONG_S else "",
    )  # fmt: skip


def _lasting(request: Request, usual_s: float) -> float:
    for_s = usual_s if request.for_s is None else request.for_s
    if request.until is not UNSET:
        for_s = (request.until - now()).total_seconds()
        if for_s <= 0:
            words = "--until is a time that is over"
            raise BackendError("config", words, fix="`teal alert unsilence` ends a silence now")
    if not 0 < for_s <= LONGEST_S:
        raise BackendError("config", f"for {for_s:g} s: more than 0s, at most {Duration(LONGEST_S)}", fix="--for 2h")
    return for_s


# ---- ack and silence


async def acknowledgement(asked: Asked) -> Order:
    """The order that acknowledges one alert."""
    return await _new_silence(asked, ack=True)


async def new_silence(asked: Asked) -> Order:
    """The order that silences one alert, or all that matchers match."""
    return await _new_silence(asked, ack=False)


async def _new_silence(asked: Asked, *, ack: bool) -> Order:
    request, target, for_s, by = asked.request, asked.target, asked.for_s, asked.by
    adapter = target.adapter
    alerts = await adapter.alerts()
    alert = _named_by(request.ref, alerts) if request.ref else None
    matchers = request.matchers if alert is None else adapter.ack_matchers(alert)
    matched = await adapter.matching(matchers)
    besides = await adapter.effects(tuple(matchers), ack=ack)
    same = [silence for silence in await adapter.silences() if set(silence.matchers) == set(matchers)]
    equal = equal_silence(same, by=by, ack=ack)
    told = f"silence  {in_words(matchers)} for {Duration(for_s)} by {by}{', as an acknowledgement' if ack else ''}"
    unsilence = (
        command("alert unsilence", alert.ref) if alert else "teal alert unsilence REF, which the action will tell"
    )
    longer = f"extend   {equal.id}, which is the same and ends sooner" if equal is not None else ""
    return Order(
        from_=alert.state if alert else "",
        to="acknowledged" if ack else "silenced",
        effects=(told, longer) if longer else (told,),
        facts=(f"hides    {_named(matched)} now", *(f"note     {words}" for words in besides.says)),
        findings=(
            *_doubts(alert, matched, by, asked.zone),
            *_reach(matchers, matched, alerts, target.watchdog),
            *besides.findings,
        ),
        undo=_former_end(equal) if equal is not None else unsilence,
        about=alert_words(alert) if alert else "",
        already=equal is not None and lasts(equal, asked.until),
        expected=NewSilence(
            by=by,
            until=asked.until,
            matchers=tuple(matchers),
            matches=len(matched),
            extends=equal.id if equal else UNSET,
        ),
        matchers=tuple(matchers),
        by=by,
        silence=equal.id if equal is not None else "",
    )


def _doubts(alert: Alert | None, matched: Sequence[Alert], by: str, zone: tzinfo) -> list[Finding]:
    findings: list[Finding] = []
    if alert is not None and all(each.fingerprint != alert.fingerprint for each in matched):
        text = f"what an acknowledgement matches on does not match {alert_words(alert)} itself: nothing would be hidden"
        findings.append(Finding(level="block", code="no-match", text=text, fix="silence it by -m NAME=VALUE"))
    elif not matched:
        text = "it matches no alert now"
        findings.append(Finding(level="warning", code="no-match", text=text, fix="check the spelling"))
    others = _other_services(alert, matched)
    if len(matched) > MAX_MATCHES or others:
        also = f", also of {', '.join(others[:_SHOWN])}" if others else ""
        text = f"it would hide {counted(len(matched))}{also}"
        code, fix = f"matches-{len(matched)}", "narrow it down"
        findings.append(Finding(level="block", code=code, text=text, fix=fix, overridable=True))
    if alert is not None and alert.ack is not None and alert.ack.by != by:
        until = f" until {local_words(alert.ack.until, zone)}" if alert.ack.until else ""
        text = f"{alert.ack.by} has acknowledged it{until}"
        findings.append(Finding(level="warning", code="acknowledged", text=text))
    return findings


def _reach(
    matchers: Sequence[Matcher], matched: Sequence[Alert], alerts: Sequence[Alert], watchdog: str
) -> list[Finding]:
    """Where it would hide whatever fires, or the alert that says that alerts reach us."""
    findings: list[Finding] = []
    hidden = {alert.fingerprint for alert in matched}
    # What is unknown and not matched is no alert of that system: it says what is not known.
    left = [alert for alert in alerts if alert.fingerprint not in hidden and alert.state != "unknown"]
    none_left = all(alert.name == watchdog for alert in left)  # which tells of nothing
    if embraces_all(matchers) or (matched and none_left and len({alert.name for alert in matched}) > 1):
        but = f" but {clean(watchdog, 100)}" if left and none_left else ""
        text = f"it matches every alert there is{but} ({counted(len(matched))} now)"
        fix = "name what is to be quiet: alertname, service"
        findings.append(Finding(level="block", code="matches-all", text=text, fix=fix, overridable=True))
    if watchdog and any(alert.name == watchdog for alert in matched):
        text = f"it would hide {clean(watchdog, 100)}, which says that alerts reach us"
        fix = f"leave it out: -m alertname!={quote(clean(watchdog, 100))}"
        findings.append(Finding(level="block", code="matches-watchdog", text=text, fix=fix, overridable=True))
    return findings


def _other_services(alert: Alert | None, matched: Sequence[Alert]) -> list[str]:
    """Services of other people: for one alert, all but its own; for matchers, where they reach over several."""
    services = dict.fromkeys(name for each in matched if (name := _service(each)))
    if alert is not None:
        return [name for name in services if name != _service(alert)]
    return list(services) if len(services) > 1 else []


def _service(alert: Alert) -> str:
    return next((alert.labels[label] for label in SERVICE_LABELS if alert.labels.get(label)), "")


def counted(alerts: int) -> str:
    """So many, in words."""
    return "1 alert" if alerts == 1 else f"{alerts} alerts"


def _named(matched: Sequence[Alert]) -> str:
    names: dict[str, int] = {}
    for alert in matched:
        names[alert_words(alert)] = names.get(alert_words(alert), 0) + 1
    told = [name if count == 1 else f"{name} ×{count}" for name, count in list(names.items())[:_SHOWN]]
    more = ["…"] if len(names) > _SHOWN else []
    return f"{counted(len(matched))}: {', '.join([*told, *more])}" if matched else "no alert"


def _alert_or_none(ref: str, alerts: Sequence[Alert]) -> Alert | None:
    return next((alert for alert in alerts if alert.ref == ref), None)


def _no_alert(ref: str) -> Refused:
    return _not_found(f"no alert {clean(ref, 200)}", "`teal alert list`")


def _named_by(ref: str, alerts: Sequence[Alert]) -> Alert:
    found = _alert_or_none(ref, alerts)
    if found is None:
        raise _no_alert(ref)
    return found


# ---- extend and unsilence


async def extension(asked: Asked) -> Order:
    """Of a silence, or of the one that hides an alert."""
    request, target, for_s = asked.request, asked.target, asked.for_s
    adapter = target.adapter
    found, alert = await _hiding(request, adapter), _alert_or_none(request.ref, await adapter.alerts())
    about = alert_words(alert) if alert else clean(request.ref, 200)
    if not found:
        raise _not_found(f"nothing silences {about}", command("alert silence", request.ref))
    silence = found[-1]
    by, exactly = silence.created_by, request.until is not UNSET
    shorter = exactly and silence.ends_at is not None and asked.until <= silence.ends_at
    findings = []
    if silence.state == "expired":
        text = f"silence {silence.id} has expired"
        findings.append(Finding(level="block", code="expired", text=text, fix="make a new one"))
    elif not shorter:  # it is never forbidden to hide less
        alerts, matched = await together(adapter.alerts(), adapter.matching(silence.matchers))
        findings += _reach(silence.matchers, matched, alerts, target.watchdog)
    end = f"at {local_words(asked.until, asked.zone)}" if exactly else f"to {Duration(for_s)} from now"
    does = "end     " if exactly else "extend  "
    already = lasts(silence, asked.until)
    if exactly and silence.ends_at is not None:
        already = ends_then(silence.ends_at, asked.until, exactly=True)
    return Order(
        effects=(f"{does} {silence.id} of {by} {end}: {in_words(silence.matchers)}",),
        facts=(f"hides    {counted(silence.matches)} now",),
        findings=tuple(findings),
        undo=_former_end(silence),
        about=about if alert else in_words(silence.matchers),
        already=silence.state == "active" and already,
        expected=KnownSilence(
            by=asked.by, until=asked.until, silence_id=silence.id, exactly=True if exactly else UNSET
        ),
        matchers=silence.matchers,
        by=by,
        silence=silence.id,
    )


def _former_end(silence: Silence) -> str:
    """What puts the end back that it has now; one without an end is not extended."""
    if silence.ends_at is None:
        return command("alert unsilence", silence.ref)
    return command("alert extend", silence.ref, until=time_text(silence.ends_at))


async def end_of_silence(asked: Asked) -> Order:
    """Of a silence, or of the one that hides an alert."""
    request, adapter = asked.request, asked.target.adapter
    found, alert = await _hiding(request, adapter), _alert_or_none(request.ref, await adapter.alerts())
    if not found:
        if alert is None:
            raise _no_alert(request.ref)
        nothing = KnownSilence(by=asked.by, until=asked.until)
        return Order(from_=alert.state, to=alert.state, already=True, expected=nothing, about=alert_words(alert))
    if len(found) > 1:
        ids = ", ".join(silence.ref for silence in found)
        words = f"{len(found)} silences hide {alert_words(alert) if alert else clean(request.ref, 200)}"
        raise Refused(5, ActionError(kind="ambiguous", message=words, fix=f"name one of {ids}"))
    silence = found[0]
    matchers = " ".join(f"-m {quote(str(matcher))}" for matcher in silence.matchers)
    return Order(
        from_=silence.state,
        to="expired",
        about=alert_words(alert) if alert else in_words(silence.matchers),
        effects=(f"expire   {silence.id} of {silence.created_by}: {in_words(silence.matchers)}",),
        facts=(f"shows    {counted(silence.matches)} again",),
        undo=command("alert silence", flags=" ".join([matchers, *await _past_what_it_hides(asked, silence)])),
        already=silence.state == "expired",
        expected=KnownSilence(by=asked.by, until=asked.until, silence_id=silence.id),
        matchers=silence.matchers,
        by=silence.created_by,
        silence=silence.id,
    )


async def _past_what_it_hides(asked: Asked, silence: Silence) -> list[str]:
    """The flags without which one like it is refused, by what it hides now."""
    target = asked.target
    alerts, matched = await together(target.adapter.alerts(), target.adapter.matching(silence.matchers))
    found = _doubts(None, matched, asked.by, asked.zone)
    found += _reach(silence.matchers, matched, alerts, target.watchdog)
    past = [f"--override {each.code}" for each in found if each.level == "block"]
    return [*past, "--reason WHY"] if past else []


async def _hiding(request: Request, adapter: Silencer) -> list[Silence]:
    """The silence that `ref` names, or those that hide the alert that it names, which end last at the end."""
    wanted = request.ref.partition("/")[2]
    named = [silence for silence in await adapter.silences() if silence.id == wanted]
    return named or await adapter.silences(hiding=wanted)


def _not_found(message: str, fix: str) -> Refused:
    return Refused(5, ActionError(kind="not_found", message=message, fix=fix))
