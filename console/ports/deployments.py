"""Services whose traffic can be moved. The name of an entry is that of its service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from actions.journal.episodes import Episode
from backends.command_line import command
from backends.errors import BackendError
from backends.models import ColorState, Deployment, Finding, Truth
from backends.text import first_line
from console import moment
from console.ports.asking import warning
from console.ports.entry import Entry
from console.ports.record import Adapters, Desk, Noun, Place, Port, Problem, Reading
from console.ports.store import SourceKey
from panels.kinds.deployments import against, doubts, why_not_well
from panels.kinds.deployments import health as severity_of

if TYPE_CHECKING:
    from backends.ports import Controller, Switch

OPEN_ACTION_INTERVAL_S = 1.0
JUST_MOVED_S = 60.0
MORE_LOOKS = 2  # at a count of requests: the second tells the difference, the third is for one in which none came
LOOKS_IN_DOUBT = 5  # where some of few failed: `teal check` has 9 s in all
CAPACITY = "capacity"  # of the side that gains traffic, and here none does


async def _fetch(desk: Desk, name: str) -> tuple[Deployment, ...]:
    found = await desk.with_action(await desk.adapters.of(DEPLOYMENTS, name).deployment())
    soon = found.action or _unjudged(found) or _just_moved(found)
    desk.hasten(SourceKey("deployments", name), OPEN_ACTION_INTERVAL_S if soon else None)
    return (found,)


async def _ask(adapters: Adapters, entry: Entry) -> list[Any]:
    """What is live, what proves it, and what the system itself says of a write that changes nothing."""
    from backends.ports import is_controller

    switch = adapters.of(DEPLOYMENTS, entry.name)
    truth = (await switch.deployment()).truth
    if truth.control.value == "unknown":
        fix = f"`{command('deploy status', entry.name)}` shows it"
        raise BackendError("not_found", first_line(truth.control.detail) or "what is live can not be read", fix=fix)
    found = list(_unproven(truth))
    if not is_controller(switch) and hasattr(switch, "shift") and not adapters.read_only:
        switch = cast("Switch", switch)
        now = await switch.observe()
        most = max(now.weights, key=lambda color: now.weights[color], default="")
        if most:  # of a split, what every switch can write: all to the side that has most of it
            found += _against(await switch.preflight(now, {color: 100 * (color == most) for color in now.weights}))
    return found


def _unproven(truth: Truth) -> Iterator[Finding]:
    for name, layer in (("endpoints", truth.endpoints), ("a fresh request", truth.data)):
        if layer.value == "unknown":
            fix = "see that `probe` and `health` answer: without them nothing is switched"
            yield warning("unproven", f"{name}: {layer.detail or 'unknown'}", fix)


def _against(findings: list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.level == "block" and finding.code != CAPACITY and not finding.overridable:
            raise BackendError("config", finding.text, fix=finding.fix)
        if finding.level != "ok" and finding.code != CAPACITY:
            yield warning(finding.code, finding.text, finding.fix)


def _just_moved(item: Deployment) -> bool:
    """Whether who else owns the switch (Argo CD with self-heal, a cron job) may be about to put it back."""
    last = item.last_switch
    return last is not None and abs((moment.utc_now() - last.at).total_seconds()) < JUST_MOVED_S


def _unjudged(item: Deployment) -> str:
    return _without_rate(item, "error rate not judged", lambda side: side.rates_pending)


def _quiet(item: Deployment) -> str:
    few = _without_rate(item, "too few requests for an error rate", lambda side: side.few and not side.beyond)
    return "; ".join(filter(None, (_silent(item), few)))


def _silent(item: Deployment) -> str:
    return _without_rate(item, "no requests, so no error rate", _is_asked_nothing)


def _more_looks(item: Deployment) -> int:
    if doubts(item):
        return LOOKS_IN_DOUBT
    return MORE_LOOKS if _unjudged(item) or _silent(item) else 0


def _is_asked_nothing(side: ColorState) -> bool:
    return side.requests == 0 if side.requests is not None else side.rps == 0


def _without_rate(item: Deployment, words: str, test: Callable[[ColorState], bool]) -> str:
    sides = [color.upper() for color, side in item.taking.items() if test(side)]
    return f"{item.service} {' and '.join(sides)}: {words}" if sides else ""


def _says(item: Deployment) -> str:
    because = f", {why}" if (why := why_not_well(item)) else ""
    nobody = f", nobody runs {item.action}" if item.orphaned_since is not None else ""
    nobody += f", {item.action}: {item.action_stopped}" if item.action_stopped else ""
    held = ", ".join(filter(None, (item.action_held, item.action_then)))
    nobody += f", {item.action} is held: {held}" if item.action_held else ""
    nobody += f", {item.elsewhere}" if item.elsewhere else ""
    known = "".join(f", {first_line(words)}" for _, words in against(item))
    armed = " ARMED" if item.armed else ""
    return f"{item.service} live {item.live.upper()}{armed}{because}{nobody}{known}"


def _problems(items: Sequence[Deployment]) -> list[Problem]:
    """Each side that fails its users, which only a rate of that side ends; and each service that is not well beside
    that, but for what an action that somebody runs is in the midst of."""
    return [problem for item in items for problem in (*_failing(item), *_not_well(item))]


def _failing(item: Deployment) -> Iterator[Problem]:
    for color, side in item.colors.items():
        if color in item.taking and side.beyond and side.healthy is not False:
            words = (
                f"{item.service} live {item.live.upper()}, {color.upper()}: {side.errors}"  # all else is told by itself
            )
            yield Problem(
                kind="service", ref=_side_ref(item, color), state="warning" if side.few else "critical",
                subject=item.service, text=words,
            )  # fmt: skip


def _not_well(item: Deployment) -> Iterator[Problem]:
    beside = _beside_rates(item)
    severity = severity_of(_beside_its_deploy(beside))
    if item.action_unknown and severity != "critical":  # it may be what an action does, and the journal tells of itself
        return
    if severity not in ("ok", "running") and not _own_doing(beside):
        yield Problem(kind="service", ref=item.ref, state=beside.health, subject=item.service, text=_says(beside))


def _beside_rates(item: Deployment) -> Deployment:
    sides = {
        color: replace(side, error_pct=None) if side.healthy is not False else side
        for color, side in item.colors.items()
    }
    return replace(item, colors=sides)


def _own_doing(item: Deployment) -> bool:
    """Whether it is only in the midst of what an action does that somebody runs: between a write and its proof its
    layers differ, and a reload would undo it. One that has ended since the read was in the midst of it then."""
    last, read_at = item.last_switch, item.truth.control.at
    if last is not None and read_at is not None and item.live == "mixed" and item.action is None:
        return 0 <= (last.at - read_at).total_seconds() < JUST_MOVED_S
    runs = item.action is not None and item.orphaned_since is None and not item.action_stopped
    return runs and not item.action_held and item.health == "warning" and item.live == "mixed"


def _side_ref(item: Deployment, color: str) -> str:
    return f"{item.ref}/{color}"


def _over(items: Sequence[Deployment], episode: Episode, read_at: datetime) -> datetime | None:
    """A side is well again once its rate says so, or it takes no traffic; a service once nobody is at it any more."""
    for item in items:
        for color, side in item.colors.items():
            if episode.ref == _side_ref(item, color):
                well = side.error_pct is not None and not (side.few and side.beyond)
                return read_at if well or side.healthy is False or side.weight_pct == 0 else None
        if episode.ref == item.ref:
            well = severity_of(_beside_rates(item)) == "ok" and not _unjudged(item)
            return read_at if well or any(_not_well(item)) else None
    return read_at


def _turned(before: Deployment, after: Deployment) -> tuple[Deployment, str]:
    """That all traffic is on another side, and no action of this journal moved it there. A look at which that is not
    sure, or not one side, tells nothing: the next one is held against the look before it."""
    if after.live not in after.colors or after.action_unknown:
        return before, ""
    same = before.live == after.live or before.live not in before.colors
    if same or after.controller is not None or before.action or after.action or _moved_it(before, after):
        return after, ""
    stamp, last = (after.mark.stamp if after.mark is not None else ""), before.mark
    theirs = stamp.partition(":")[0] if last is None or stamp != last.stamp else ""
    who = f"by action {theirs} of another journal" if theirs else "by hand or by another program: who is not known"
    sides = f"{before.live.upper()} → {after.live.upper()}"
    return after, f"{after.service} {sides} {who}; seen"


def _moved_it(before: Deployment, after: Deployment) -> bool:
    """Whether the newest action of the journal may have: another than before, or one that ended as it was read."""
    was, last, read_at = before.last_switch, after.last_switch, before.truth.control.at
    if last is None:
        return False
    ended = read_at is not None and last.to == after.live and (read_at - last.at).total_seconds() < JUST_MOVED_S
    return was is None or last.action != was.action or ended


def _beside_its_deploy(item: Deployment) -> Deployment:
    """`item` without what is wrong with a side that has no traffic, while somebody's action deploys there."""
    from actions.telling import phase_words

    runs = item.action is not None and item.orphaned_since is None and not item.action_stopped
    if not runs or item.action_about.rpartition(", ")[2] not in {phase_words(step) for step in ("deploy", "health")}:
        return item
    calm = {name: side if side.takes_traffic else replace(side, healthy=True) for name, side in item.colors.items()}
    return replace(item, colors=calm)


DEPLOYMENTS: Port[Switch | Controller, Deployment] = Port(
    name="deployments",
    about="the services whose traffic can be moved; the name of an entry is the SERVICE of the command line.",
    protocol="backends.ports:Switch",
    ask=_ask,
    writes=("shift", "switch"),
    orders=("describe_order", "order"),
    noun_of_entry="service",
    reading=Reading(
        item=Deployment,
        fetch=_fetch,
        interval_s=10.0,
        single="service",
        title=lambda deployment: deployment.service,
        says=_says,
        unjudged=_unjudged,
        quiet=_quiet,
        more_looks=_more_looks,
        problems=_problems,
        over=_over,
        turned=_turned,
        at=lambda deployment: deployment.last_switch.at if deployment.last_switch else None,
    ),
    noun=Noun(name="deploy", help="Deployments:", command="console.cli.deploy:deploy"),
    documents={"deploy.status": Deployment, "deploy.history": "actions.models:Action"},
    shown_as="deploy.status",
    command_of=lambda deployment, context: command("deploy status", deployment.service, context=context),
    screen="console.screens.deployment_detail:DeploymentDetail",
    place=Place(kind="panels.kinds.deployments:DEPLOYMENTS", title="Deployments", key="4", row="upper"),
)
