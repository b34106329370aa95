"""What is known of a service with two colors, as rows and lines: truth, sides, the way back. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo

from textual.content import Content

from actions.models import Action
from actions.telling import doing, outcome, short_title, standing, way
from backends.models import ColorState, Deployment, Health, LastSwitch, RunCondition, TruthLayer, severity_rank
from console.screens.parts import MUTED, Row, fit, mark, now, row, seconds_since, style_of
from panels.kinds.deployments import (
    against,
    controller_words,
    freeze_words,
    how_ready,
    is_split,
    named_condition,
    no_way_back,
)
from panels.kinds.sides import errors
from panels.words import NOTHING, Symbols, ago, amount, clock, took, zone_name

LAYERS = ("control", "endpoints", "data")
_HUE = {"blue": "bold $text-secondary", "green": "bold $text-success"}
_RED = style_of("critical")


def color_word(color: str) -> Content:
    """`BLUE`, spelled; the hue only repeats it. `mixed` and `unknown` stay words."""
    if color in ("mixed", "unknown"):
        return Content.styled(color, style_of(color))
    return Content.styled(color.upper(), _HUE.get(color, "bold"))


def live_line(deployment: Deployment, of: Symbols, *, known: bool = True) -> Content:
    """`▶ analytics  live GREEN 2.4.1`; `known`: whether that is so now."""
    health = _sure(deployment.health, known)
    state = mark(health, of) if health != "ok" else Content(of.live)
    side = deployment.colors.get(deployment.live)
    version = f" {side.version}" if side and side.version else ""
    is_live = "  live " if known else "  live when last seen "
    armed = (" ARMED", _RED) if deployment.armed else ""
    return Content.assemble(
        state, " ", (deployment.service, "bold"), is_live, color_word(deployment.live), version, armed
    )


def disagreement(deployment: Deployment, of: Symbols) -> list[Row]:
    """One loud row where the layers of truth do not say the same; a layer that nobody could read is said apart."""
    layers = [(name, _layer(deployment, name).value) for name in LAYERS]
    told = {value for _, value in layers if value != "unknown"}
    rows = []
    if is_split(deployment):
        if deployment.action_unknown:
            rows.append(
                row(mark("unknown", of), f"traffic is split, and {deployment.action_unknown}", style_of("unknown"))
            )
        elif not deployment.action:
            rows.append(row(mark("critical", of), "traffic is split, and no action is open on it", _RED))
    elif len(told) > 1 or "mixed" in told:
        what = ", ".join(
            f"{name} {value.upper() if value != 'mixed' else value}" for name, value in layers if value != "unknown"
        )
        rows.append(row(mark("critical", of), f"the layers of truth disagree: {what}", _RED))
    unread = [name for name, value in layers if value == "unknown"]
    if unread:
        rows.append(row(mark("unknown", of), f"not known: {', '.join(unread)}", style_of("unknown")))
    return rows


def known_against(deployment: Deployment, of: Symbols, zone: tzinfo) -> list[Row]:
    """What the journal knows against the traffic as it is, each with how it is put right; and who has frozen it."""
    frozen = deployment.freeze
    told = against(deployment)
    if frozen is not None:
        told.append(("warning", freeze_words(frozen, zone)))
    return [row(mark(word, of), "; ".join(words.splitlines()), style_of(word)) for word, words in told]


def truth_rows(deployment: Deployment, of: Symbols, *, known: bool = True) -> list[Row]:
    """Three layers: what each says, in words, and how long ago; `known`: whether that is so now."""
    rows = []
    differ = len({_layer(deployment, name).value for name in LAYERS} - {"unknown"}) > 1
    planned = bool(deployment.action) and is_split(deployment)
    for name in LAYERS:
        layer = _layer(deployment, name)
        odd = layer.value == "unknown" or ((layer.value == "mixed" or differ) and not planned)
        odd = odd or (name == "control" and bool(deployment.armed))
        symbol = mark(("unknown" if layer.value == "unknown" else "critical") if odd else _sure("ok", known), of)
        lead = Content.assemble(symbol, " ", (f"{name:<10}", MUTED), fit(color_word(layer.value), 8))
        age = seconds_since(layer.at)
        rows.append(row(lead, layer.detail or " ", tail="never read" if age is None else f"{ago(age)} ago"))
    return rows


def _layer(deployment: Deployment, name: str) -> TruthLayer:
    layer: TruthLayer = getattr(deployment.truth, name)
    return layer


SideCell = Callable[[ColorState], str]
SideColumn = tuple[str, int, SideCell]
SIDE_COLUMNS: tuple[SideColumn, ...] = (
    ("VERSION", 12, lambda side: side.version or NOTHING),
    ("READY", 6, lambda side: _ready(side)),
    ("WEIGHT", 7, lambda side: amount(side.weight_pct, " %")),
    ("RPS", 8, lambda side: amount(side.rps, "/s", 0 if (side.rps or 10) >= 10 else 1)),
    ("ERRORS", 9, errors),
    ("OF", 9, lambda side: NOTHING if side.requests is None or side.few else f"{side.requests:,}"),
    ("P95", 8, lambda side: amount(side.p95_ms, "ms")),
)
LEFT_OUT = ("OF", "READY", "RPS", "P95", "VERSION")
LEAST_HEALTH = len("not healthy")


def _ready(side: ColorState) -> str:
    return NOTHING if side.ready is None and side.desired is None else f"{amount(side.ready)}/{amount(side.desired)}"


def _sure(health: Health, known: bool) -> Health:
    """What is wrong stays so when nobody can look any more; what was well does not."""
    return health if known or health == "critical" else "unknown"


def side_columns(deployment: Deployment, width: int) -> list[SideColumn]:
    """Those that anybody tells of, as many as leave room for the word of health: what matters least goes first."""
    columns = [
        column for column in SIDE_COLUMNS
        if column[0] not in ("READY", "OF") or any(column[2](side) != NOTHING for side in deployment.colors.values())
    ]  # fmt: skip
    for name in LEFT_OUT:
        if side_indent(columns) + LEAST_HEALTH <= width:
            break
        columns = [column for column in columns if column[0] != name]
    return columns


def side_indent(columns: Sequence[SideColumn]) -> int:
    """Where the words of health begin behind these columns."""
    return 12 + sum(width for _, width, _ in columns) + 2


def side_rows(
    deployment: Deployment, of: Symbols, columns: Sequence[SideColumn] = SIDE_COLUMNS, *, known: bool = True
) -> list[Row]:
    """A heading and a row for each color: version to the left, numbers to the right, health in words at the end.
    `known`: whether that is so now."""
    heading = "    COLOR   " + "".join(_cell(title, width) for title, width, _ in columns) + "  HEALTH"
    rows = [row(Content.styled(heading, MUTED), "")]
    for color, side in deployment.colors.items():
        health: Health = "unknown" if side.healthy is None else "ok" if side.healthy else "critical"
        words = {"ok": "healthy", "critical": "not healthy", "unknown": "not known"}[health]
        if side.beyond and side.takes_traffic and side.healthy is not False:
            health = "warning" if side.few else "critical"
        else:
            health = _sure(health, known)
        live = of.live if color == deployment.live else " "
        lead = Content.assemble(live, " ", mark(health, of), " ", fit(color_word(color), 8))
        for title, width, cell in columns:
            lead = lead + _cell(cell(side), width, left=title == "VERSION")
        detail = side.detail if side.detail.startswith(words) else ": ".join(filter(None, (words, side.detail)))
        fails = f"{side.errors}; health: " if side.beyond else ""
        rows.append(Row(lead + "  ", Content.styled(fails + detail, style_of(health))))
    return rows


def condition_rows(conditions: Sequence[RunCondition], of: Symbols, *, known: bool = True) -> list[Row]:
    """What else decides how the sides run, a row each, what is amiss first; `known`: whether that is so now."""
    rows = []
    for each in sorted(conditions, key=lambda one: severity_rank(one.health)):
        lead = Content.assemble(mark(_sure(each.health, known), of), " ", (named_condition(each), MUTED), " ")
        body = each.text + (f" ({each.fix})" if each.fix else "")
        rows.append(row(lead, body, "" if each.health == "ok" else style_of(each.health)))
    return rows


def _cell(text: str, width: int, *, left: bool = False) -> str:
    if left or text == "VERSION":
        return str(fit(text, width))
    return str(fit(text, width, right=True))


def back_row(deployment: Deployment, of: Symbols, zone: tzinfo, *, sides_said: bool = False) -> Row:
    """`back to BLUE 2.4.0: ready, at once, until 14:31:20 CET`, or why there is none, as `back already: …`.
    `sides_said`: what is wrong with a side stands above."""
    offer = deployment.rollback
    if offer is None or offer.to is None:
        words = no_way_back(deployment)
        return row("back", words.removeprefix("back ") if words.startswith("back already") else words)
    side = deployment.colors.get(offer.to)
    version = f" {side.version}" if side and side.version else ""
    ready = "ready" if offer.ready else "not ready"
    how = f", {how_ready(deployment, offer)}" if offer.ready else ""
    until = f", until {clock(offer.until, zone)} {zone_name(offer.until, zone)}" if offer.until and offer.ready else ""
    known = sides_said and side is not None and side.detail == offer.reason
    because = f"  {offer.reason}" if offer.reason and not known else ""
    body = Content.assemble(
        "to ", color_word(offer.to), f"{version}: ", (ready, "" if offer.ready else _RED), how, until, (because, MUTED)
    )
    return row("back", body)


def controller_rows(deployment: Deployment, of: Symbols) -> list[Row]:
    """What its controller does now, and the orders that it takes."""
    view = deployment.controller
    if view is None:
        return []
    takes = ", ".join(offer.order for offer in view.orders if offer.allowed) or "no order"
    waits = view.phase in ("paused", "rolling_back", "degraded")
    words = controller_words(deployment) or f"{view.type} is at rest: {view.message}"
    return [row(mark("warning" if waits else "ok", of), words), row("takes", takes, MUTED)]


def last_row(last: LastSwitch | None, of: Symbols) -> Row:
    """`GREEN → BLUE by alice, 12m ago`."""
    if last is None:
        return row("last", "no switch on record", MUTED)
    arrow = Content(f" {of.arrow} ")
    by = f" by {last.by}" if last.by else ""
    return row(
        "last", color_word(last.from_) + arrow + color_word(last.to) + f"{by}, {ago(seconds_since(last.at))} ago"
    )


def action_line(action: Action, width: int, of: Symbols) -> Content:
    """`✓ flip BLUE → GREEN  succeeded   alice   "2.4.1 go"        12m ago  21s`."""
    moved = way(action, of.arrow)
    word = doing(action) if action.open else outcome(action)
    health = standing(action)
    by = f"   {action.actor.person}" if action.actor else ""
    why = f'   "{action.reason}"' if action.reason else ""
    ended = action.ended_at or now()
    length = took((ended - action.started_at).total_seconds()) if action.started_at else ""
    when = f"{ago(seconds_since(action.started_at))} ago" if action.started_at else ""
    tail = Content.styled(f"{when:>9} {length:>7}", MUTED)
    line = Content.assemble(
        mark(health, of), f" {short_title(action)}{moved}   ", (word, style_of(action.status)), by, (why, MUTED)
    )
    return fit(line, max(10, width - tail.cell_length - 1)) + " " + tail
