"""What of a context works, seen from this host. Everything is asked once, side by side, and nothing is changed."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from actions.journal.journal import Journal
from backends.aws.witness import Witness
from backends.errors import BackendError, ErrorKind
from backends.http import Answer, Http
from backends.models import CheckResult, Finding, Health, worst
from backends.redaction import redact_url
from backends.room import FIX, Room, room_at
from console import moment
from console.config.journal_place import journal_of
from console.config.load import Context
from console.config.selection import Selection
from console.errors import Problem
from console.paths import state_dir
from console.ports.entry import Entry
from console.ports.record import Port
from console.ports.store import Snapshot, SourceError, SourceKey, Store
from console.ports.table import PORTS
from console.printing.aws import Identities, Identity
from console.reading.adapters import Adapters
from console.reading.asking import ask
from console.reading.feeds import DEADLINE_S, Feed, Source, read_all

SKEW_WARNING_S = 5.0
SKEW_CRITICAL_S = 60.0
# What a kind of error says of the way to a system; of all others nothing is known.
_REACHED: dict[ErrorKind, bool] = {
    "auth": True, "malformed": True, "rate_limited": True, "not_found": True, "unreachable": False, "timeout": False,
}  # fmt: skip


class Diagnosis(Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `subject`: a port of the config, `journal`, `state` or `config`.

    `reachable` and `authorized` are None where that is not known. `latency_ms` is that of the first read, connecting
    included. `clock_skew_s`: how far the server's clock is ahead of ours, where it says the time. `may`: what can be
    done from here. `account`, `identity` (an ARN) and `region` are what AWS says of who asks it; `missing_rights` are
    those that reads were refused for, as policies call them.
    """

    subject: str
    name: str
    type: str = ""
    health: Health
    reachable: bool | None = None
    authorized: bool | None = None
    may: tuple[str, ...] = ()
    latency_ms: int | None = None
    clock_skew_s: float | None = None
    account: str = ""
    identity: str = ""
    region: str = ""
    missing_rights: tuple[str, ...] = ()
    detail: str = ""
    fix: str = ""


async def diagnose(
    selection: Selection, seen: Sequence[Problem] = (), *, deadline_s: float
) -> tuple[list[Snapshot], list[Diagnosis]]:
    """What each backend answered, and the findings on all of it, those of the backends first. `seen`: what can be seen
    to be wrong with the config besides its problems."""
    context = selection.context
    adapters = Adapters(context, DatedHttp())
    skews: dict[SourceKey, list[float]] = {}
    aws = _Aws(Identities(), {})
    try:
        snapshots = await asked(adapters, skews, deadline_s, aws)
        found = [_of_backend(adapters, snapshot, skews.get(snapshot.key, [])) for snapshot in snapshots]
        found = [_with_aws(each, aws.of(snapshot.key)) for each, snapshot in zip(found, snapshots, strict=True)]
        found = [_with_seen(each, [problem for problem in seen if _is_of(problem, each)]) for each in found]
    finally:
        await adapters.aclose()
    found += [
        await _of_journal(context, os.environ),
        _of_state(state_dir()),
        *_of_config(context, (*selection.problems, *(problem for problem in seen if not problem.entry))),
    ]
    return snapshots, found


_heard: ContextVar[list[float]] = ContextVar("_heard")


class DatedHttp(Http):
    """Compares each server's clock with ours while its answers pass."""

    async def request(self, method: str, url: str, **request: Any) -> Answer:
        """As `Http.request`."""
        answer = await super().request(method, url, **request)
        skew = clock_skew(answer, moment.utc_now())
        if skew is not None and (heard := _heard.get(None)) is not None:
            heard.append(skew)
        return answer


def clock_skew(answer: Answer, received_at: datetime) -> float | None:
    """Seconds that the server's clock is ahead; None where it does not say, or where a cache says what was then.

    `Date` has whole seconds: what is smaller than one means nothing.
    """
    from email.utils import parsedate_to_datetime

    if "age" in answer.headers:
        return None
    try:
        said = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    theirs = said.replace(tzinfo=said.tzinfo or UTC) + timedelta(seconds=0.5)
    return (theirs - received_at).total_seconds() + answer.seconds / 2


async def asked(
    adapters: Adapters,
    skews: dict[SourceKey, list[float]] | None = None,
    deadline_s: float = DEADLINE_S,
    aws: "_Aws | None" = None,
) -> list[Snapshot]:
    """What each entry answered, side by side; `skews` gets how far their clocks are off, `aws` who they are to AWS."""
    skews = {} if skews is None else skews
    store = Store()
    sources: list[Source] = []
    for port in PORTS:
        for entry in adapters.context.entries[port]:
            # A second one of a name is broken, and has a row of its own.
            key, count = SourceKey(port, entry.name), 1
            while key in skews:
                key, count = SourceKey(port, f"{entry.name} ({count + 1})"), count + 1
            skews[key] = []
            fetch: Callable[[], Awaitable[Any]] = partial(_ask, adapters, entry, skews[key])
            if aws is not None:
                fetch = aws.seeing(adapters, entry, key, fetch, skews[key])
            sources.append(Source(key, entry.type, fetch))
    feeds = [Feed(source, store, interval_s=deadline_s, deadline_s=min(deadline_s, DEADLINE_S)) for source in sources]
    await read_all(feeds, deadline_s=deadline_s)
    return [store.get(source.key) or Snapshot(key=source.key, type=source.type) for source in sources]


class _Aws(Struct):
    """What is seen of AWS while the entries are asked."""

    identities: Identities
    witnesses: dict[SourceKey, Witness]

    def seeing(
        self, adapters: Adapters, entry: Entry, key: SourceKey, fetch: Callable[[], Awaitable[Any]], skews: list[float]
    ) -> Callable[[], Awaitable[Any]]:
        """`fetch`, and what AWS says meanwhile."""
        witness = self.witnesses[key] = self.identities.witness(skews)
        return partial(self.identities.asked, fetch, lambda: adapters.of(PORTS[entry.port], entry.name), witness)

    def of(self, key: SourceKey) -> Identity | None:
        """What is known of that entry; None where it asked AWS nothing."""
        return self.identities.of(self.witnesses[key])


def _with_aws(found: Diagnosis, aws: Identity | None) -> Diagnosis:
    if aws is None:
        return found
    known = replace(
        found, account=aws.account, identity=aws.identity, region=aws.region, missing_rights=aws.missing_rights
    )
    if not aws.missing_rights:
        return known
    new = [right for right in aws.missing_rights if right not in found.detail]
    words = f"no right {', '.join(new)}" if new else ""
    return replace(
        known,
        health=worst([found.health, "warning"]),
        detail="; ".join(filter(None, (found.detail, words))),
        fix="allow them to this role or user (docs/aws.md has the policy)",  # else what is blind by it stays so
    )


async def _ask(adapters: Adapters, entry: Entry, heard: list[float]) -> tuple[Any, ...]:
    _heard.set(heard)
    if entry.problem:
        raise BackendError("config", f"{entry.port}.{entry.name}: {entry.problem}")
    return await ask(adapters, entry)


def _of_backend(adapters: Adapters, snapshot: Snapshot, skews: Sequence[float]) -> Diagnosis:
    port, name = snapshot.key.panel, snapshot.key.name
    answered = snapshot.error is None and snapshot.fetched_at is not None
    nearest: float | None = min(skews, key=lambda seconds: abs(seconds), default=None)
    found = Diagnosis(
        subject=port,
        name=name,
        type=snapshot.type,
        health="ok",
        reachable=True,
        authorized=True,
        may=_may(adapters, PORTS[port], name) if answered else (),
        latency_ms=None if snapshot.latency_ms is None else round(snapshot.latency_ms),
        clock_skew_s=None if nearest is None else round(nearest, 1) + 0.0,  # no "-0.0"
    )
    return _with_skew(_with_answer(found, snapshot, answered))


def _with_answer(found: Diagnosis, snapshot: Snapshot, answered: bool) -> Diagnosis:
    result = next((item for item in snapshot.items if isinstance(item, CheckResult)), None)
    if result is not None and answered:
        # Where it is bad, only its own words say whether the way there is, or the thing itself.
        known = True if result.state in ("ok", "warning") else None
        return replace(found, health=result.state, detail=result.message, reachable=known, authorized=known)
    if answered:
        against = [item for item in snapshot.items if isinstance(item, Finding)]
        if not against and not snapshot.missing:
            return found
        said = [part for part in snapshot.missing if not any(part.message in finding.text for finding in against)]
        words = "; ".join([*(part.message for part in said), *(finding.text for finding in against)])
        fixes = [*(part.fix for part in said), *(finding.fix for finding in against)]
        fix = next((each for each in fixes if each), "")
        return replace(found, health="warning", detail=words, fix=fix)
    error = snapshot.error or SourceError("timeout", "no answer in time", "raise --timeout")
    return replace(
        found,
        health="critical",
        reachable=True if error.answered else _REACHED.get(error.kind),
        authorized=False if error.kind == "auth" else None,
        detail=error.message,
        fix=error.fix,
    )


def _is_of(problem: Problem, found: Diagnosis) -> bool:
    return problem.entry == found.name and f"{found.subject}[" in problem.path


def _with_seen(found: Diagnosis, problems: Sequence[Problem]) -> Diagnosis:
    """What its entry says that can be seen to be wrong, where its answer has not said it."""
    new = [problem for problem in problems if problem.message not in found.detail]
    if not new:
        return found
    return replace(
        found,
        health=worst([found.health, *("critical" if problem.level == "error" else "warning" for problem in new)]),
        detail="; ".join(filter(None, (found.detail, *(problem.message for problem in new)))),
        fix=found.fix or new[0].fix,
    )


def _with_skew(found: Diagnosis) -> Diagnosis:
    skew = found.clock_skew_s
    if skew is None or abs(skew) < SKEW_WARNING_S:
        return found
    words = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this host's"
    return replace(
        found,
        health=worst([found.health, "critical" if abs(skew) >= SKEW_CRITICAL_S else "warning"]),
        detail="; ".join(filter(None, (found.detail, words))),
        fix=found.fix or "synchronize both clocks (NTP)",
    )


def _may(adapters: Adapters, port: Port[Any, Any], name: str) -> tuple[str, ...]:
    if adapters.read_only:
        return (port.reads,)
    can = (word for method, word in (port.writes, port.orders) if method and hasattr(adapters.of(port, name), method))
    return (port.reads, *can)


async def _of_journal(context: Context, env: Mapping[str, str]) -> Diagnosis:
    try:
        location = await journal_of(context, env)
    except BackendError as error:
        return Diagnosis(subject="journal", name="", health="critical", detail=error.message, fix=error.fix)
    place = redact_url(location.url) if location.path is None else str(location.path)
    if location.path is not None and (problem := _not_writable(location.path)):
        return Diagnosis(
            subject="journal",
            name=place,
            health="critical",
            detail=problem,
            fix="check its owner and mode; until then only a rollback can be done from here",
        )
    journal = Journal(location)
    try:
        await journal.actions(context.name, limit=1)
        await journal.writable()
    except BackendError as error:
        return Diagnosis(subject="journal", name=place, health="critical", detail=error.message, fix=error.fix)
    finally:
        await journal.aclose()
    finding = None if context.sandbox else location.finding
    found = Diagnosis(subject="journal", name=place, health="ok")
    if finding is not None:
        found = replace(found, health="warning", detail=finding.text, fix=finding.fix)
    return _with_room(found, location.room())


def _of_state(directory: Path) -> Diagnosis:
    problem = _not_writable(directory)
    fix = "set TEAL_STATE_DIR to a directory of your own" if problem else ""
    found = Diagnosis(
        subject="state", name=str(directory), health="critical" if problem else "ok", detail=problem, fix=fix
    )
    return _with_room(found, room_at(directory))


def _with_room(found: Diagnosis, room: Room | None) -> Diagnosis:
    if room is None or room.health == "ok":
        return found
    detail = "; ".join(filter(None, (room.words, found.detail)))
    return replace(found, health=worst([found.health, room.health]), detail=detail, fix=FIX)


def _of_config(context: Context, problems: Sequence[Problem]) -> list[Diagnosis]:
    if not problems:
        return [Diagnosis(subject="config", name=str(context.source), health="ok")]
    return [
        Diagnosis(
            subject="config",
            name=f"{problem.file}:{problem.line}" if problem.line else str(problem.file),
            health="critical" if problem.level == "error" else "warning",
            detail=f"{problem.path}: {problem.message}",
            fix=problem.fix,
        )
        for problem in problems
    ]


def _not_writable(path: Path) -> str:
    """Why nothing can be written at `path`, or be made there; empty where it can."""
    there = next((each for each in (path, *path.parents) if os.path.exists(each)), path)
    if there != path and not os.path.isdir(there):
        return f"{there} is not a directory"
    return "" if os.access(there, os.W_OK) else f"{there} cannot be written"
