"""`teal alert`: what is firing, and keeping it quiet."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
from msgspec import UNSET, UnsetType

from actions.models import ActionKind, Request
from backends.alerts.matchers import in_words, parse_matcher
from backends.errors import BackendError
from backends.models import Alert, Matcher, Silence
from backends.text import clean
from console import moment
from console.cli.options import DURATION, Common, Writing, common_options, writing_options
from console.cli.order_group import OrderGroup
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.writing import RequestMaker, act
from console.errors import EXIT_NOT_FOUND, EXIT_USAGE, CommandError
from console.ports.alerts import linked_params, ordered_by, silencer
from console.ports.dashboards import dashboard_of
from console.ports.incidents import is_own
from console.printing.output import document, worst_first
from console.printing.tables import View, item_table
from console.reading.refs import find
from console.session import Session
from console.silences import read_silences, silencers
from panels.words import dated

_OF_INCIDENTS = {"ack": "ack-incident"}
"""What a kind is called where the alert is an incident."""


def _on_alert(common: Common, kind: ActionKind, ref: str, for_s: float | None = None, **more: Any) -> RequestMaker:
    async def request(session: Session) -> Request:
        await session.read(deadline_s=common.timeout_s)
        found = _found(session, ref)
        is_incident = ordered_by(session.adapters, found.backend) == "order_incident"
        named = _OF_INCIDENTS.get(kind, kind) if is_incident else kind
        if kind == "ack" and (with_it := linked_params(found, session.adapters, session.store)):
            return Request(kind=named, service=found.ref, ref=found.ref, for_s=for_s, params=with_it)
        return Request(kind=named, service=found.ref, ref=found.ref, for_s=for_s, **more)

    return request


@click.group(cls=OrderGroup, port="alerts", request_on=_on_alert, metavar="REF|NAME", panels=("alerts",))
def alert() -> None:
    """Alerts."""


@alert.command("list")
@common_options()
@click.option("--state", help="Only alerts in this state.")
def list_(common: Common, state: str | None) -> int:
    """Alerts of all sources, worst first."""

    async def answer(session: Session) -> Answer:
        alerts = [item for item in session.store.items("alerts") if state in (None, item.state)]
        found = document(
            "alert.list",
            worst_first(alerts),
            context=session.context.name,
            snapshots=session.sources(),
            limit=common.limit,
        )
        return Answer(found, lambda: item_table(Alert, found.items, View.at_now(session.context.zone)))

    return read(common, ("alerts",), answer)


@alert.command()
@common_options()
@click.argument("ref", metavar="REF|NAME")
def show(common: Common, ref: str) -> int:
    """One alert: its summary, labels, since when, its runbook, what silences it."""

    async def answer(session: Session) -> Answer:
        return await shown_alert(session, _found(session, ref))

    return read(common, ("alerts",), answer)


@alert.command()
@common_options()
@writing_options
@click.option("--for", "for_s", type=DURATION, metavar="TIME", help="How long.  [default: 1h]")
@click.argument("ref", metavar="REF|NAME")
def ack(common: Common, writing: Writing, for_s: float | None, ref: str) -> int:
    """Acknowledge an alert: a silence on what identifies it, marked as an acknowledgement; an incident as its system
    does, without --for."""
    return act(common, writing, _on_alert(common, "ack", ref, for_s), panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.option("--for", "for_s", type=DURATION, metavar="TIME", help="How long.  [default: 2h]")
@click.option("-m", "--matcher", "texts", multiple=True, metavar="K=V", help="Also K!=V, K=~REGEX, K!~REGEX.")
@click.option("--source", default="", metavar="NAME", help="Where, if several sources of alerts can silence.")
@click.argument("ref", metavar="[REF|NAME]", required=False)
def silence(
    common: Common, writing: Writing, for_s: float | None, texts: tuple[str, ...], source: str, ref: str | None
) -> int:
    """Silence an alert by what identifies it, or everything that all matchers match."""
    if (ref is None) == (not texts):
        raise CommandError(EXIT_USAGE, "usage", "either REF or -m K=V", fix="teal alert silence -m dataset=customers")
    if ref is not None:
        return act(common, writing, _on_alert(common, "silence", ref, for_s), panels=("alerts",))
    matchers = _matchers(texts)

    async def request(session: Session) -> Request:
        service = f"{_silencer(session, source)}/{in_words(matchers)}"
        return Request(kind="silence", service=service, matchers=matchers, for_s=for_s)

    return act(common, writing, request, panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.option("--for", "for_s", type=DURATION, metavar="TIME", help="How long from now.  [default: 1h]")
@click.option(
    "--until", "text", metavar="T", help="Until then and no longer, also earlier than now: ISO 8601 with its offset."
)
@click.argument("ref", metavar="REF|NAME|ID")
def extend(common: Common, writing: Writing, for_s: float | None, text: str | None, ref: str) -> int:
    """Let a silence, or the one that hides an alert, last longer, or until a time."""
    until = _instant(text) if text else UNSET
    if until is not UNSET and for_s is not None:
        raise CommandError(EXIT_USAGE, "usage", "--until excludes --for")
    return act(common, writing, _on_silence(common, "extend", ref, for_s, until), panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.argument("ref", metavar="REF|NAME|ID")
def unsilence(common: Common, writing: Writing, ref: str) -> int:
    """End a silence, or the one that hides an alert."""
    return act(common, writing, _on_silence(common, "unsilence", ref, None), panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.option("--for", "for_s", type=DURATION, metavar="TIME", help="How long.  [default: 1h]")
@click.argument("ref", metavar="REF|NAME")
def snooze(common: Common, writing: Writing, for_s: float | None, ref: str) -> int:
    """Acknowledge an incident for a time; then it is triggered again."""
    return act(common, writing, _on_alert(common, "snooze", ref, for_s), panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.option("--to", required=True, metavar="USER", help="By the email, the whole name or the id there.")
@click.argument("ref", metavar="REF|NAME")
def reassign(common: Common, writing: Writing, to: str, ref: str) -> int:
    """Give an incident to somebody else, who is called."""
    return act(common, writing, _on_alert(common, "reassign", ref, to=to), panels=("alerts",))


@alert.command()
@common_options()
@writing_options
@click.argument("ref", metavar="REF|NAME")
@click.argument("text", nargs=-1, required=True)
def note(common: Common, writing: Writing, ref: str, text: tuple[str, ...]) -> int:
    """Write TEXT into the notes of an incident. Several words need no quotes."""
    params = {"text": " ".join(text)}
    return act(common, writing, _on_alert(common, "note-incident", ref, params=params), panels=("alerts",))


@alert.command()
@common_options()
@click.option("--expired", is_flag=True, help="Also those that are over.")
def silences(common: Common, expired: bool) -> int:
    """Silences and acknowledgements, those that end first at the top."""

    async def answer(session: Session) -> Answer:
        snapshots = await read_silences(session)
        items = [item for snapshot in snapshots for item in snapshot.items if expired or item.state != "expired"]
        found = document(
            "alert.silences",
            sorted(items, key=lambda item: (item.state == "expired", item.ends_at)),
            context=session.context.name,
            snapshots=snapshots,
            limit=common.limit,
            health="unknown" if any(snapshot.error or snapshot.missing for snapshot in snapshots) else "ok",
        )
        return Answer(found, lambda: item_table(Silence, found.items, View.at_now(session.context.zone)))

    return read(common, (), answer)


async def shown_alert(session: Session, found: Alert) -> Answer:
    """An alert with its labels and what hides it."""
    hiding = await _hiding(session, found)
    shown = document(
        "alert.show", [found], context=session.context.name, snapshots=session.sources(), health=found.health
    )
    return Answer(shown, lambda: _lines(session, found, hiding))


def _instant(text: str) -> datetime:
    """Raises CommandError for what is no one instant."""
    try:
        if (found := datetime.fromisoformat(text)).tzinfo is not None:
            return found.astimezone(UTC)
        problem = "has no offset"
    except (ValueError, OverflowError):
        problem = "is no time"
    fix = "--until 2026-11-30T14:00:00+01:00"
    raise CommandError(EXIT_USAGE, "usage", f"--until {clean(text, 60)} {problem}", fix=fix)


def _on_silence(
    common: Common, kind: ActionKind, ref: str, for_s: float | None, until: datetime | UnsetType = UNSET
) -> RequestMaker:
    async def request(session: Session) -> Request:
        snapshots, _ = await asyncio.gather(read_silences(session), session.read(deadline_s=common.timeout_s))
        silences: list[Any] = [item for snapshot in snapshots for item in snapshot.items]
        found = find([*session.store.items("alerts"), *silences], ref, "silence", [*session.sources(), *snapshots]).ref
        return Request(kind=kind, service=found, ref=found, for_s=for_s, until=until)

    return request


def _found(session: Session, ref: str) -> Alert:
    alerts: list[Alert] = session.store.items("alerts")
    first = [alert for alert in alerts if alert.incident is None or is_own(alert)]
    try:
        return find(alerts, ref, "alert", session.sources())
    except CommandError:
        if len(first) == len(alerts):
            raise
    return find(first, ref, "alert", session.sources())  # an incident stands for the alerts that opened it


def _matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    try:
        return tuple(parse_matcher(text) for text in texts)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, "usage", str(error), fix="-m dataset=customers") from None


def _silencer(session: Session, wanted: str) -> str:
    known = silencers(session)
    found = [name for name in known if wanted in ("", name)]
    if len(found) == 1:
        return found[0]
    fix = f"--source {', '.join(known)}" if known else "an `alertmanager` entry of `alerts` in the config is one"
    message = "several sources of alerts can silence" if found else f"no source of alerts that can silence {wanted}"
    raise CommandError(EXIT_NOT_FOUND, "ambiguous" if found else "not_found", message.rstrip(), fix=fix)


async def _hiding(session: Session, alert: Alert) -> list[str]:
    """The silences that hide it, acknowledgements apart, or why that is not known; none where its source has none."""
    if alert.backend not in silencers(session) or alert.hidden_since is None:
        return []
    zone, now = session.context.zone, moment.utc_now()
    try:
        async with session.due.kept():
            found = await silencer(session.adapters, alert.backend).silences(hiding=alert.fingerprint)
    except BackendError as error:
        return [f"silence     not known: {error.message}"]
    plain = [silence for silence in found if not silence.is_ack]
    return [
        f"silence     {each.ref} of {each.created_by} until {dated(each.ends_at, zone, now)}  {each.comment}".rstrip()
        for each in plain
    ]


def _lines(session: Session, alert: Alert, hiding: Sequence[str]) -> list[str]:
    lines = item_table(Alert, [alert], View.at_now(session.context.zone))
    lines += [f"summary     {alert.summary}"] if alert.summary else []
    lines += [f"{key:11} {value}" for key, value in sorted(alert.labels.items())]
    if incident := alert.incident:
        who = ", ".join(incident.assigned) or "nobody"
        words = f"#{incident.number} of {incident.service}, urgency {incident.urgency}, {who} has it, {incident.policy}"
        lines += [f"incident    {words}", *(f"opened by   {ref}" for ref in incident.opened_by)]
    if alert.ack is not None:
        until = f" until {dated(alert.ack.until, session.context.zone, moment.utc_now())}" if alert.ack.until else ""
        lines.append(f"ack         {alert.ack.by}{until}  {alert.ack.reason}  {alert.ack.silence_id or ''}".rstrip())
    lines += hiding
    lines += [f"runbook     {alert.runbook_url}"] if alert.runbook_url else []
    page = dashboard_of(alert, session.links)
    lines += [f"dashboard   {page}"] if page else []
    return lines + [f"linked      {line}" for line in session.impact(alert.ref)]
