"""How far an action is: its steps and stages, its gates, its hold and its way back, as rows. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any, cast

from msgspec.structs import replace
from textual.content import Content

from actions.journal.steering import no_way_on, possible_orders
from actions.judging.stages import is_shift
from actions.judging.words import measured
from actions.kinds import kind_of
from actions.models import Action, GateView, OrderWord, Step
from actions.telling import STOPPED_WORDS, is_backwards, step_status, unless_released
from backends.models import Deployment
from backends.text import side_name
from console.ports.store import Snapshot, Store
from console.screens.choices import is_orphaned
from console.screens.deployment_lines import back_row
from console.screens.parts import MUTED, Row, listing, mark, now, row, style_of
from panels.words import Symbols, ago, sparkline, took

STEP_WIDTH = 14
GATE_WIDTH = 16
SPARK_SAMPLES = 10
_WORD_STATE = {"pass": "ok", "fail": "critical"}
_WATCHING = ("analyse", "bake")
_NO_WAY_BACK = frozenset({"rolled_back", "rolling_back", "aborted", "abandoned"})


def timeline(action: Action, of: Symbols) -> list[Row]:
    """Every step; where traffic is moved in stages, one row for what came before, for each stage that is over and for
    all that is to come, and the steps of the stage that is at work."""
    steps = [_left(step, action) for step in action.steps]
    if not any(_share(step) for step in steps):
        return [step_row(step, of) for step in steps]
    rows: list[Row] = []
    coming: list[str] = []
    for share, group in _groups(steps):
        if all(step.status == "pending" for step in group):
            coming += [share] if share else [step.name for step in group]
        elif not share:
            begun = any(_share(step) and step.status not in ("pending", "skipped") for step in steps)
            rows += _before(group, of) if begun and not rows else [step_row(step, of) for step in group]
        elif all(step.status == "skipped" for step in group):
            rows.append(row(_lead("skipped", share, of), "not reached", style_of("skipped")))
        elif all(step.status == "succeeded" for step in group):
            rows.append(_stage_over(share, group, of))
        else:
            rows += _stage_at_work(share, group, of, gates=bool(action.gates))
    if coming:
        rows.append(row(_lead("pending", "then", of), f" {of.arrow} ".join(coming), style_of("pending")))
    return rows


def seen(action: Action, lost_at: datetime | None) -> Action:
    """With what was at work when the journal was last read (`lost_at`; None: just now) as unknown since then."""
    if lost_at is None or not action.open:
        return action
    return replace(action, steps=tuple(_unknown(step, lost_at, "") for step in action.steps))


def _unknown(step: Step, since: datetime, why: str) -> Step:
    """A step that was at work: how it ended, nobody knows."""
    if step.status != "running" or step.started_at is None:
        return step
    detail = ": ".join(filter(None, (why, step.detail)))
    return replace(step, status="unknown", ended_at=max(since, step.started_at), until=None, detail=detail)


def _left(step: Step, action: Action) -> Step:
    """A step as it is known: of one at work that nobody runs any more, nobody knows how it ended."""
    since = action.orphaned_since
    if (status := step_status(action, step)) != step.status:
        return replace(step, status=cast(Any, status))
    if action.stopped_pid and step.status == "running":
        return replace(step, until=None, detail=": ".join(filter(None, (STOPPED_WORDS, step.detail))))
    return step if since is None else _unknown(step, since, "nobody runs it")


def step_row(step: Step, of: Symbols) -> Row:
    """A step: its state, name, what was observed, how long it took."""
    words = [step.detail or ("" if step.status != "failed" else "failed")]
    if step.name.startswith("shift"):
        words.insert(0, ticks(step, of))
    if step.status == "skipped":
        words.insert(0, "skipped")
    style = style_of(step.status) if step.status in ("failed", "stopped", "pending", "skipped") else ""
    lead = _lead(step.status, step.name, of)
    return row(lead, "  ".join(word for word in words if word), style, tail=_took([step]))


def ticks(step: Step, of: Symbols) -> str:
    """`requested ✓  accepted ✓  observed ✓`: the intent is journalled before the write, the end is a read back."""
    if step.status in ("pending", "skipped"):
        return ""
    done = step.status == "succeeded"
    told = ("requested", True), ("accepted", done), ("observed", done)
    yes, no = ("yes", "not yet") if of.arrow.isascii() else (of.ok, of.not_yet)  # a dot in a line of words is none
    return "  ".join(f"{word} {yes if seen else no}" for word, seen in told)


def gate_rows(action: Action, of: Symbols) -> list[Row]:
    """Each gate: candidate, production and limit, the last samples, the verdict; in words where it does not pass."""
    rows: list[Row] = []
    for gate in action.gates:
        state = _WORD_STATE.get(gate.word, "unknown")
        name = Content.assemble(mark(state, of), " ", gate.name)
        verdict = gate.word + (", dry run" if gate.dry_run else "")
        values = [f"{side_name(action.to or 'candidate')} {measured(gate.value, gate.unit)}"]
        if gate.production is not None:
            before = " before" if gate.frozen else ""
            values.append(f"{side_name(action.from_ or 'production')}{before} {measured(gate.production, gate.unit)}")
        if gate.limit is not None:
            values.append(f"limit {measured(gate.limit, gate.unit)}")
        values.append(_samples(gate, of))
        numbers = "  ".join(value for value in values if value)
        rows.append(Row(name, Content(numbers), Content.styled(verdict, style_of(state))))
        why = gate.words or gate.reason.replace("_", " ")
        if why and (gate.word != "pass" or gate.sample != "pass"):
            rows.append(row("", why, style_of(state)))
    return rows


def hold_rows(action: Action, of: Symbols, lost_at: datetime | None = None) -> list[Row]:
    """`held 2m: …, goes back by itself in 7m40s`, and the ways out of it; where the journal was last read at
    `lost_at`, what was so then."""
    hold = action.hold
    if hold is None or not action.open:
        return []
    left, at = "until somebody decides", lost_at or now()
    if hold.until is not None:
        left_s = (hold.until - at).total_seconds()
        left = unless_released(f"in {took(left_s)}" if left_s > 0 else "now", back=is_backwards(action))
    words = f"held {ago((at - hold.since).total_seconds())}: {hold.why}"
    possible = possible_orders(action, orphaned=False)
    onward: dict[OrderWord, str] = {"accept": "x i accepts the missing evidence", "promote": "x g skips this wait"}
    ways = ", ".join([*(words for word, words in onward.items() if not possible[word]), "b rolls back"])
    if no_way_on(action) and action.error is not None:
        ways = action.error.fix or ways
    if is_orphaned(action):
        late_s = 0.0 if hold.until is None else (at - hold.until).total_seconds()
        then = "given up" if is_backwards(action) else "gone back"
        left = f"nobody runs it: it should have {then} {ago(late_s)} ago" if late_s > 0 else "nobody runs it"
        ways = "x p resumes it, b rolls back"
    return [
        Row(mark("unknown", of), Content.assemble((words, style_of("unknown")), f"; {left}")),
        row("", ways),
    ]


def way_back(action: Action, store: Store, of: Symbols, zone: tzinfo) -> list[Row]:
    """Where a rollback would take traffic, whether that side is healthy, and how old that knowledge is."""
    if not kind_of(action.kind).forward or action.status in _NO_WAY_BACK:
        return []
    for snapshot in store.snapshots("deployments"):
        for item in snapshot.items:
            if isinstance(item, Deployment) and item.service == action.service:
                found = back_row(item, of, zone)
                age = snapshot.age_s()
                if item.rollback is not None and item.rollback.to is None and _moved_since(action, snapshot):
                    found = row("back", "traffic has moved since this was read; b looks anew", MUTED)
                said = "never read" if age is None else f"{'stale' if snapshot.error else 'read'} {ago(age)}"
                return [Row(found.lead, found.body, Content.styled(said, MUTED))]
    side = side_name(action.from_) or "the other side"
    return [row("back", f"whether {side} is healthy is not known here; b looks", style_of("unknown"))]


def _moved_since(action: Action, snapshot: Snapshot) -> bool:
    """Whether the action has moved traffic, or begun to, after the read of its service began: what was read then says
    nothing of where traffic is."""
    moves = moved(action)
    if not moves or snapshot.fetched_at is None:
        return False
    began = snapshot.fetched_at - timedelta(milliseconds=snapshot.latency_ms or 0)
    at = moves[-1].ended_at or moves[-1].started_at
    return at is not None and began < at


def moved(action: Action) -> list[Step]:
    """The steps that have moved traffic forward, or are about to."""
    return [step for step in action.steps if is_shift(step.name) and step.started_at is not None]


def _groups(steps: Sequence[Step]) -> list[tuple[str, list[Step]]]:
    """Steps that follow each other in one stage, with its share as `10 %`; empty for those of no stage."""
    groups: list[tuple[str, list[Step]]] = []
    for step in steps:
        share = _share(step)
        last_share, last = groups[-1] if groups else ("", [])
        if last and share == last_share and (share or last[0].status == step.status):
            last.append(step)
        else:
            groups.append((share, [step]))
    return groups


def _share(step: Step) -> str:
    """`10 %` of `shift[10]`."""
    number = step.name.partition("[")[2].removesuffix("]")
    return f"{number} %" if number.isdigit() else ""


def _before(steps: list[Step], of: Symbols) -> list[Row]:
    if any(step.status != "succeeded" for step in steps):
        return [step_row(step, of) for step in steps]
    names = listing([step.name for step in steps], most=6)
    return [row(_lead("succeeded", "before", of), names, tail=_took(steps))]


def _stage_over(share: str, steps: list[Step], of: Symbols) -> Row:
    verify = next((step.detail for step in steps if step.name.startswith("verify")), "")
    observed = verify.partition(", ")[0]
    return row(_lead("succeeded", share, of), f"observed {observed}" if observed else "", tail=_took(steps))


def _stage_at_work(share: str, steps: list[Step], of: Symbols, *, gates: bool) -> list[Row]:
    came = {str(step.status) for step in steps}
    status = next(
        (word for word in ("failed", "stopped") if word in came), "failed" if "skipped" in came else "running"
    )
    shift = next((step for step in steps if step.name.startswith("shift")), steps[0])
    said = ticks(shift, of) if shift.status != "failed" else f"{ticks(shift, of)}  {shift.detail}"
    head = row(
        _lead(status, share, of), said,
        style_of("failed") if shift.status == "failed" else "", tail=_took(steps),
    )  # fmt: skip
    rows = [head]
    for step in steps:
        if step is shift or step.status == "pending":
            continue
        name = step.name.partition("[")[0]
        detail = step.detail
        if gates and name == "analyse" and step.status not in ("failed", "stopped"):
            detail = detail.partition("; ")[0]  # the gates have rows of their own
        elif name == "verify" and step.status == "succeeded":
            detail = detail.partition(", control")[0]
        style = style_of(step.status) if step.status in ("failed", "stopped", "skipped") else ""
        words = "skipped" if step.status == "skipped" else detail or step.status
        rows.append(row(Content.assemble("  ", mark(step.status, of), f" {name}"), words, style))
    return rows


def _lead(status: str, name: str, of: Symbols) -> Content:
    return Content.assemble(mark(status, of), " ", (name, "bold" if status == "running" else ""))


def _took(steps: Iterable[Step]) -> str:
    """From the first start to the last end, or to now; and what is left of the one that runs, where that is known."""
    started = [step.started_at for step in steps if step.started_at is not None]
    if not started:
        return ""
    over = all(step.ended_at is not None for step in steps if step.started_at is not None)
    ended = [step.ended_at for step in steps if step.ended_at is not None]
    so_far = took(((max(ended) if over and ended else now()) - min(started)).total_seconds())
    watching = (step for step in steps if step.status == "running" and step.name.partition("[")[0] in _WATCHING)
    left_s = max(((step.until - now()).total_seconds() for step in watching if step.until is not None), default=0.0)
    return f"{so_far}, {took(left_s)} left" if left_s > 0 else so_far


def _samples(gate: GateView, of: Symbols) -> str:
    """The last samples as bars, up to the limit or the highest; a sample without a value is a gap that shows."""
    values = [value for value in gate.last if value is not None]
    top = max([*values, gate.limit or 0.0])
    if not values or top <= 0:
        return ""
    bars = (
        of.not_yet if value is None else sparkline([value], 1, low=0.0, high=top * 1.05, bars=of.bars)
        for value in gate.last[-SPARK_SAMPLES:]
    )
    return "".join(bars)
