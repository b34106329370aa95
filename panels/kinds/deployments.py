"""Services as blocks: which color is live, what each side serves and how it does, and the way back."""

from datetime import UTC, datetime, tzinfo

from backends.command_line import command
from backends.models import ColorState, Deployment, Freeze, Health, RollbackOffer, RunCondition, severity_rank
from backends.text import first_line, short_id, short_ids, side_name
from backends.times import local_words
from panels.columns import (
    Cell,
    Column,
    Counted,
    Kind,
    Line,
    Moment,
    Tone,
    broken,
    crop,
    line_width,
    tone_of,
)
from panels.kinds.sides import color_tone, ordered, side_lines
from panels.words import NOTHING, ago, amount, took

_INDENT = "  "
_BACK_CHARS = 60
WIDE = 88


def why_not_well(item: Deployment) -> str:
    """The first line of `why_in_full`."""
    return first_line(why_in_full(item))


def why_in_full(item: Deployment) -> str:
    """Why it is not known to be well: its live side, else what its layers say, else a side without traffic, which is no
    way back then; empty where there is nothing to say. Further lines are how that is put right."""
    if said := next(iter(failures(item)), ""):
        return f"{said}; {controller_words(item)}" if unwatched(item) else said
    if said := controller_words(item) or next(iter(doubts(item)), ""):
        return said
    if item.armed:  # `against` says so
        return ""
    layers = (item.truth.control, item.truth.endpoints, item.truth.data)
    unsure = item.live in ("unknown", "mixed")
    if item.live == "mixed" and is_split(item) and item.action_unknown:
        return f"traffic is split, and {item.action_unknown}"
    if item.live == "mixed" and is_split(item) and not item.action and item.controller is None:
        whose = " of this journal" if item.elsewhere else ""
        return f"traffic is split, and no action{whose} is open on it: {item.truth.control.detail}".removesuffix(": ")
    said = next((layer.detail for layer in layers if (unsure or layer.value != item.live) and layer.detail), "")
    said = said or next((_ill(name, side) for name, side in item.colors.items() if not side.healthy), "")
    return said or item.action_unknown


def against(item: Deployment) -> list[tuple[Health, str]]:
    """What the journal knows against the traffic as it is, whatever health says: how bad it is, and what; further lines
    are how that is put right."""
    critical = [armed_words(item), item.rollback_failed or "", item.unverified, item.rejected or ""]
    found: list[tuple[Health, str]] = [("critical", words) for words in critical if words]
    return found + [("warning", words) for words in (item.stuck, item.changed_since) if words]


def armed_words(item: Deployment) -> str:
    """`ARMED: any reload goes to GREEN 100 %`; its control layer says more. Empty where nothing waits for a reload."""
    return f"ARMED: {item.armed}" if item.armed else ""


def controller_words(item: Deployment) -> str:
    """What its controller is in the midst of, or stands at: `PAUSED POST_SCALE_UP: …`; empty where it rests."""
    view = item.controller
    if view is None or view.phase == "healthy":
        return ""
    stage = f" {view.stage}" if view.stage else ""
    steps = f" ({view.step} of {view.steps_total})" if view.step and view.steps_total else ""
    message = view.message.removeprefix(f"{view.stage}, ") if view.stage else view.message
    said = [message] if message else []
    if view.phase == "paused" and view.paused_until is not None and view.then not in message:
        said.append(f"it {view.then} at {local_words(view.paused_until, UTC)}")
    if waits_alone(item):  # a journal that nobody could read says nothing of who holds it
        said.append(
            "whether an action of ours watches it is unknown" if item.action_unknown else "no action of ours watches it"
        )
    return f"{view.phase.replace('_', ' ').upper()}{stage}{steps}" + (f": {', '.join(said)}" if said else "")


def waits_alone(item: Deployment) -> bool:
    """Whether its controller waits, and no action of ours is known that would tell of it."""
    return item.controller is not None and item.controller.phase == "paused" and item.action is None


def unwatched(item: Deployment) -> bool:
    """Whether its controller waits, and it is known that no action of ours is open on it."""
    return waits_alone(item) and not item.action_unknown


def failures(item: Deployment) -> list[str]:
    """Each side with traffic that is not healthy, or whose requests fail although its health check passes."""
    taking = {name: side for name, side in ordered(item) if name in item.taking or name == item.live}
    ill = [_ill(name, side) for name, side in taking.items() if side.healthy is False]
    return ill + [_errors(name, side) for name, side in taking.items() if side.failing and side.healthy is not False]


def doubts(item: Deployment) -> list[str]:
    """Each side with traffic of whose few requests some failed: too few to say that it fails its users."""
    taking = [(name, side) for name, side in ordered(item) if name in item.taking]
    return [_errors(name, side) for name, side in taking if side.beyond and side.few and side.healthy is not False]


def _errors(name: str, side: ColorState) -> str:
    return f"{name.upper()}: {side.errors}"


def _ill(name: str, side: ColorState) -> str:
    words = "is not healthy" if side.healthy is False else "is not known to be healthy"
    return f"{name.upper()} {words}: {side.detail}".removesuffix(": ")


def named_condition(condition: RunCondition) -> str:
    """`GREEN autoscaler analytics-green`."""
    parts = (condition.color.upper(), condition.kind.replace("-", " "), condition.name)
    return " ".join(filter(None, parts))


def health(deployment: Deployment) -> str:
    """The word that a service sorts by. A split that an open action made on purpose is no fault."""
    runs = deployment.action is not None and deployment.orphaned_since is None and not deployment.action_stopped
    runs = runs and not deployment.action_held
    runs = runs and deployment.live == "mixed" and deployment.health == "warning"
    if runs and not (disagreement(deployment) or doubts(deployment) or against(deployment)):
        return "running"
    if deployment.controller is not None and deployment.controller.phase == "progressing":
        return "running" if deployment.health in ("ok", "warning") else deployment.health
    return deployment.health


def live_words(deployment: Deployment, now: datetime) -> Line:
    """`live GREEN 2.4.1  FROZEN for 2h`, or what stands in its place."""
    live = deployment.live
    armed = [Cell(" ARMED", "critical")] if deployment.armed else []
    if live == "unknown":
        return [Cell("live ", "muted"), Cell("UNKNOWN", "unknown"), *armed]
    if live == "mixed":
        tone: Tone = "critical" if health(deployment) == "critical" else "strong"
        return [Cell("live ", "muted"), Cell("MIXED", tone), *armed]
    state = deployment.colors.get(live)
    version = f" {state.version}" if state and state.version else ""
    frozen = [Cell(f"  {said}", "warning")] if (said := frozen_words(deployment, now)) else []
    verified = f", {deployment.verified_version} was verified"
    changed = [Cell(verified, "critical")] if deployment.unverified else []
    return [Cell("live ", "muted"), Cell(live.upper(), color_tone(live)), Cell(version), *armed, *changed, *frozen]


def frozen_words(deployment: Deployment, now: datetime) -> str:
    """`FROZEN`, with the time that is left of it where it ends by itself; nothing where it is not."""
    freeze = deployment.freeze
    if freeze is None:
        return ""
    return "FROZEN" if freeze.until is None else f"FROZEN for {ago((freeze.until - now).total_seconds())}"


def freeze_words(freeze: Freeze, zone: tzinfo) -> str:
    """`FROZEN by alice@b1 since 14:02 CET until 16:02 CET: year end`."""
    since = f" since {local_words(freeze.since, zone)}" if freeze.since is not None else ""
    until = f" until {local_words(freeze.until, zone)}" if freeze.until is not None else ""
    reason = f": {first_line(freeze.reason)}" if freeze.reason else ""
    return f"FROZEN by {freeze.by or 'somebody'}{since}{until}{reason}"


def is_split(deployment: Deployment) -> bool:
    """Whether traffic is shared out, and no layer says otherwise: a fresh request sees any side that has some."""
    truth = deployment.truth
    shared = truth.control.value == "mixed" and truth.endpoints.value in ("mixed", "unknown")
    return shared and truth.data.value in {*deployment.taking, "mixed", "unknown"}


def disagreement(deployment: Deployment) -> str:
    """`control GREEN · endpoints GREEN · data BLUE` where the layers that can be read do not agree; else nothing."""
    truth = deployment.truth
    layers = {"control": truth.control, "endpoints": truth.endpoints, "data": truth.data}
    if is_split(deployment) or len({layer.value for layer in layers.values() if layer.value != "unknown"}) < 2:
        return ""
    return " · ".join(f"{name} {layer.value.upper()}" for name, layer in layers.items())


def unread(deployment: Deployment) -> str:
    """Why nobody knows what is live, in the words of the layers; nothing where it is known."""
    if deployment.live != "unknown" or deployment.armed:
        return ""
    truth = deployment.truth
    details = [
        f"{name}: {first_line(layer.detail)}"
        for name, layer in (("control", truth.control), ("data", truth.data))
        if layer.detail
    ]
    return " · ".join(details) or "no layer could be read"


def way_back(deployment: Deployment, now: datetime, width: int) -> Line:
    """`back to BLUE 2.4.0: ready, at once  (12m ago)`, or why there is none, as `back already: …`. Where that is wider
    than `width` the verdict comes first: `back: not ready, HTTP 503, to BLUE 2.4.0`."""
    offer = deployment.rollback
    if offer is None or offer.to is None:
        return [Cell(no_way_back(deployment), "muted")]
    state = deployment.colors.get(offer.to)
    version = f" {state.version}" if state and state.version else ""
    side = [Cell(side_name(offer.to), color_tone(offer.to)), Cell(version)]
    verdict = [Cell(f"ready, {how_ready(deployment, offer)}")]
    if not offer.ready:
        verdict = [Cell("not ready" + (f", {offer.reason}" if offer.reason else ""), "warning")]
    at = deployment.last_switch.at if deployment.last_switch and offer.ready else None
    switched = f"  ({ago((now - at).total_seconds())} ago)" if at else ""
    told = [Cell("back to ", "muted"), *side, Cell(": ", verdict[0].tone), *verdict, Cell(switched, "muted")]
    if line_width(told) <= width:
        return told
    short = [Cell("ready")] if offer.ready and offer.instant else verdict
    return [Cell("back: ", "muted"), *short, Cell(", to ", "muted"), *side]


def how_ready(deployment: Deployment, offer: RollbackOffer) -> str:
    """What a way back that is ready takes: of a controller that is at rest a change with all its stages."""
    if offer.instant:
        return "at once"
    return "not proven" if deployment.controller is None else "not instant"


def no_way_back(deployment: Deployment) -> str:
    """Why there is nothing to roll back to, and what would move the traffic where another side could take it."""
    offer = deployment.rollback
    if offer is not None and offer.reason:
        return short_ids(offer.reason)
    if deployment.action_unknown:
        return "what to go back to is not known without the journal: b looks at the switch"
    if deployment.last_switch is None:
        return "no way back: no switch yet"
    words = "nothing to go back to"
    ready = [color for color, side in deployment.colors.items() if color != deployment.live and side.healthy]
    return f"{words}; {command('deploy flip', deployment.service, to=ready[0].upper())}" if len(ready) == 1 else words


def block(deployment: Deployment, moment: Moment, width: int) -> list[Line]:
    """The lines of one service in `width` cells, or in as many as can be read across."""
    width = min(width, WIDE)
    words = live_words(deployment, moment.now)
    word = health(deployment)
    word = word if moment.known or word == "critical" else "unknown"
    told = tone_of(word, ("critical", "warning", "unknown"), "")
    head: Line = [Cell(f"{moment.symbols.of(word)} ", told)] if told else []
    room = width - line_width(words) - line_width(head) - 2
    head = [*head, Cell(crop(deployment.service, max(4, room)), "strong")]
    gap = width - line_width(head) - line_width(words)
    lines: list[Line] = [[*head, Cell(" " * max(1, gap)), *words]]
    for word, said in _warnings(deployment):
        lines += broken([Cell(f"{moment.symbols.of(word)} {said}", word)], width, moment.lines, len(_INDENT))
    lines += side_lines(deployment, moment, width)
    if deployment.action or deployment.action_about:
        lines += broken(_open_action(deployment, moment), width, moment.lines, 2 * len(_INDENT))
    elif moment.roomy:
        back = [Cell(_INDENT), *way_back(deployment, moment.now, width - len(_INDENT))]
        lines += broken(back, width, moment.lines, 2 * len(_INDENT))
    return lines


def action_words(deployment: Deployment, now: datetime) -> str:
    """What the open action does, what is left of that, and who ordered it: `canary 25 %, judging, 4m32s left, root`."""
    about = deployment.action_about or f"action {short_id(deployment.action or '')} is open"
    left_s = (deployment.action_until - now).total_seconds() if deployment.action_until is not None else 0.0
    left = f"{took(left_s)} left" if left_s > 0 else ""
    by = "" if about.endswith(f" by {deployment.action_by}") else deployment.action_by
    return ", ".join(filter(None, (about, left, by)))


def _open_action(deployment: Deployment, moment: Moment) -> Line:
    """The same, loud where nobody goes on with it."""
    about = ", ".join(filter(None, (action_words(deployment, moment.now), deployment.action_then)))
    if moment.symbols.arrow.isascii():
        about = about.replace("→", "->")
    if deployment.orphaned_since is not None:
        about = about if "nobody runs it" in about else f"nobody runs it: {about}"
        return [Cell(f"{_INDENT}{moment.symbols.critical} {about}", "critical")]
    if deployment.action_stopped:
        return [Cell(f"{_INDENT}{moment.symbols.critical} {about}: {deployment.ways_out}", "critical")]
    return [Cell(_INDENT + moment.symbols.running + " ", "running"), Cell(about)]


def _warnings(deployment: Deployment) -> list[tuple[Health, str]]:
    """What is said below its name, never left out: how bad it is, and what."""
    said: list[tuple[Health, str]] = [("critical", words) for words in failures(deployment)]
    said += [("warning", words) for words in doubts(deployment)]
    said += [(word, first_line(words)) for word, words in against(deployment) if words != deployment.unverified]
    said += [("critical", words)] if (words := disagreement(deployment)) else []
    said += [(_phase_word(deployment), words)] if (words := controller_words(deployment)) else []
    return said + ([("unknown", words)] if (words := unread(deployment)) else [])


def _phase_word(deployment: Deployment) -> Health:
    view = deployment.controller
    return "ok" if view is not None and view.phase == "progressing" else "warning"


def height(deployment: Deployment, roomy: bool) -> int:
    """How many lines `block` gives."""
    lines = 1 + len(deployment.colors) + len(_warnings(deployment))
    return lines + (1 if deployment.action or roomy else 0)


def counted(deployment: Deployment) -> tuple[Counted, ...]:
    """What is wrong or on the move; nothing where all is well."""
    word = health(deployment)
    if word == "running":
        return (("moving", "strong"),)
    return () if deployment.health == "ok" else ((deployment.health, deployment.health),)


def _live(deployment: Deployment, _: Moment) -> Cell:
    if deployment.armed:
        return Cell(f"{deployment.live.upper()} ARMED", "critical")
    return Cell(deployment.live.upper(), color_tone(deployment.live))


def _versions(deployment: Deployment, _: Moment) -> Cell:
    return Cell(" · ".join(f"{name.upper()} {state.version or NOTHING}" for name, state in ordered(deployment)))


def _weights(deployment: Deployment, _: Moment) -> Cell:
    return Cell(" · ".join(f"{name.upper()} {amount(state.weight_pct, ' %')}" for name, state in ordered(deployment)))


DEPLOYMENTS: Kind[Deployment] = Kind(
    name="deployments",
    columns=(
        Column(
            title="",
            cell=lambda item, moment: Cell(moment.symbols.of(item.health), "" if item.health == "ok" else item.health),
            max_width=1,
        ),
        Column(
            title="SERVICE", cell=lambda item, _: Cell(item.service, "strong"), min_width=8, max_width=40, flex=True
        ),
        Column(title="LIVE", cell=_live, max_width=14),
        Column(title="VERSIONS", cell=_versions, max_width=48, priority=2),
        Column(title="WEIGHTS", cell=_weights, max_width=32, priority=1),
        Column(
            title="BACK",
            cell=lambda item, moment: Cell("".join(cell.text for cell in way_back(item, moment.now, _BACK_CHARS))),
            max_width=_BACK_CHARS,
            priority=3,
        ),
    ),
    key=lambda item: item.ref,
    health=health,
    sort_key=lambda item: (
        severity_rank("running" if item.action and item.health == "ok" else health(item)),
        item.service,
    ),
    counted=counted,
    count_order=("critical", "unknown", "warning", "moving"),
    block=block,
    height=height,
    text=lambda item: f"{item.service} {item.live} " + " ".join(state.version or "" for state in item.colors.values()),
    fields=lambda item: {"service": item.service, "live": item.live, "state": item.health},
    empty="No services",
)
