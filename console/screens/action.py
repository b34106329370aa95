"""While an order runs, and after: what was observed, step by step. Leaving the screen stops nothing."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize, Unmount
from textual.widgets import Static

from actions.kinds import kind_of
from actions.models import ENDED, Action, Refused, Request, SwitchReport
from actions.orphans import orphan_words
from actions.telling import (
    STOPPED_WORDS,
    failed_words,
    is_noop,
    outcome,
    pause_words,
    phase_told,
    proof_words,
    unattended,
    unmended,
)
from backends.errors import BackendError
from backends.models import PipelineRun, severity_rank
from backends.text import short_id, side_name
from console.ports.derive import latest_runs
from console.ports.store import Snapshot, Store
from console.ports.table import readings
from console.screens import stage_lines as stages
from console.screens.choices import is_orphaned
from console.screens.moving import Scroll
from console.screens.page import AGAIN_S, Page
from console.screens.parts import KEY_ORDER, MUTED, Frame, Paragraphs, Row, listing, mark, now, row, sides, style_of
from console.screens.plan_words import refusal, subject, worries
from console.screens.working import work
from panels.keybar import KeyBar
from panels.words import Symbols, clock, zone_name

if TYPE_CHECKING:
    from console.session import Session

STATUS_WORDS = {
    "planned": "planned, not begun", "awaiting_approval": "waits for approval", "running": "running",
    "paused": "paused: nothing moves forward until it is resumed", "in_doubt": "in doubt: a write was not answered",
    "conflict": "stopped: something else changed the target", "rolling_back": "rolling back",
    "succeeded": "done", "rolled_back": "rolled back",
    "aborted": "aborted", "rollback_failed": "the rollback failed: page someone",
    "abandoned": "given up by hand",
}  # fmt: skip
_NEEDS_HANDS = frozenset({"rollback_failed", "conflict", "in_doubt", "abandoned"})


class ActionScreen(Page):
    """One action as its journal tells it. Nothing is ticked that was not observed; ended ones stay as they ended."""

    WRITES = True
    AUTO_FOCUS = "#body"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "menu", "actions", id="menu", tooltip="what can be ordered of this action"),
        Binding("b", "rollback", "roll back", id="action.rollback", tooltip="plan the rollback of this action"),
    ]
    DEFAULT_CSS = """
    ActionScreen {
        #subject { height: 1; }
        #by { height: auto; margin-bottom: 1; }
        #end, #gates, #steps { margin-bottom: 1; }
        #way { height: auto; max-height: 3; }
    }
    """

    def __init__(self, session: Session, action_id: str) -> None:
        super().__init__(session)
        self.action_id = action_id
        self.action: Action | None = None
        self._red_at_start = red(session.store)
        self._trouble: list[Row] = []
        self._lost_at: datetime | None = None  # since when what is shown is only what was so

    def compose(self) -> ComposeResult:
        with Frame(title="Action", id="frame", fitted=True):
            with Vertical(classes="top"):
                yield Static(id="subject", markup=False)
                yield Paragraphs(0, id="by")
            with Scroll(id="body"):
                yield Paragraphs(2, id="end")
                yield Paragraphs(stages.GATE_WIDTH, id="gates")
                yield Paragraphs(stages.STEP_WIDTH, id="steps")
                yield Paragraphs(10, id="facts")
                yield Paragraphs(2, id="findings")
            yield Paragraphs(5, id="way", classes="bottom")
        yield KeyBar(KEY_ORDER)

    def on_mount(self) -> None:
        self.query_one(Frame).titles(left=f"Action {short_id(self.action_id)}", right="reading the journal…")
        self.listen(self._on_snapshot)
        self._follow()
        self.set_interval(1.0, self._tick)

    def on_unmount(self, event: Unmount) -> None:
        self.stop_listening()

    def on_resize(self, event: Resize) -> None:
        self._show_subject()

    # ---- following

    def _lost(self, error: Refused | BackendError) -> None:
        self._lost_at = self._lost_at or now()
        self._trouble = refusal(error, self.of)
        if self.action is None or not self.action.open:
            self.query_one(Frame).titles(right="not readable")
            self._show_end()
        else:
            zone = self.session.context.zone
            since = f"{clock(self._lost_at, zone)} {zone_name(self._lost_at, zone)}"
            self.query_one(Frame).titles(right=Content.styled(f"not known since {since}", style_of("unknown")))
            was = f"not known since {since}; below is what was so then, and it is read again by itself"
            self._trouble.append(row(mark("unknown", self.of), was, style_of("unknown")))
            self._show_as_it_goes()

    @work(group="watch", exclusive=True, lost=_lost)
    async def _follow(self) -> None:
        """For as long as it is open, also through a journal that goes away and comes back, and with the runner of
        whoever resumes what nobody ran."""
        while self.action is None or self.action.open:
            try:
                async for action in self.session.watch(self.action_id, in_time=True):
                    if self._lost_at is not None or not is_orphaned(action):
                        self._lost_at, self._trouble = None, []
                    self._show(action)
            except Refused as error:
                self._lost(error)
                return
            except BackendError as error:
                self._lost(error)
            else:
                self._leave_off()
            await asyncio.sleep(AGAIN_S)

    def _leave_off(self) -> None:
        if self.action is not None and self.action.open:
            ways = "b rolls back" if self.action.status == "conflict" else "x p resumes it, b rolls back"
            nobody = f"nobody runs it: {ways}; x lists what else can be ordered"
            text = nobody if is_orphaned(self.action) else "no more news of it here: it is read again by itself"
            self._trouble = [row(mark("critical", self.of), text, style_of("critical"))]
            self._show_end()

    def _tick(self) -> None:
        if self.action is not None and self.action.open and self.is_current:
            self._show_as_it_goes()

    def _show_as_it_goes(self) -> None:
        if self.action is not None:
            self._show_subject()
            self._show_end()
            self._show_steps()
            self._show_way()

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if self.action is not None and self.is_attached:
            self._show_facts()
            self._show_way()

    # ---- what is shown

    def _show(self, action: Action) -> None:
        before, self.action, zone = self.action, action, self.session.context.zone
        if before is not None and stages.moved(before) != stages.moved(action):
            self.session.refresh("deployments")  # where traffic is, and what is ready to take it back
        style = style_of("critical" if unattended(action) else action.status)
        word = action.status.replace("_", " ")
        phase = phase_told(action.phase)
        said = word if action.status in ENDED or phase in ("", word) else phase
        said = f"{said}, {word}" if word != "running" and said != word else said
        if action.orphaned_since is not None:
            said = f"{orphan_words(action, self.session.context.zone)}, in {phase or word}"
        elif action.stopped_pid:
            said = f"{STOPPED_WORDS}: kill -CONT {action.stopped_pid}, in {phase or word}"
        self.query_one(Frame).titles(right=Content.styled(said, style))
        self._show_subject()
        self.query_one("#by", Paragraphs).show(
            [row("", "; ".join(filter(None, (who(action), pause_words(action, zone)))), MUTED)]
        )
        self._show_end()
        self._show_steps()
        self.query_one("#gates", Paragraphs).show(stages.gate_rows(action, self.of))
        self._show_facts()
        self._show_way()
        at_its_end = unmended(action)
        left = tuple(finding for finding in action.findings if finding not in at_its_end)
        self.query_one("#findings", Paragraphs).show(worries(left, self.of))
        self.refresh_bindings()

    def redraw(self) -> None:
        self._show_subject()

    def _show_subject(self) -> None:
        action = self.action
        if action is None:
            return
        what = subject(
            action.kind, action.service, action.ref or "", action.from_, "" if is_noop(action) else action.to, self.of,
            version=action.version, about=action.about,
        )  # fmt: skip
        right = Content.assemble(self.place(), "  ", (elapsed(action, self._lost_at), "bold"))
        line = self.query_one("#subject", Static)
        line.update(sides(what, right, line.content_size.width or self.app.size.width - 4))

    def _show_steps(self) -> None:
        rows = stages.timeline(stages.seen(self.action, self._lost_at), self.of) if self.action else []
        self.query_one("#steps", Paragraphs).show(rows)

    def _show_way(self) -> None:
        """The way back is never scrolled away."""
        rows: list[Row] = []
        if self.action is not None:
            rows = stages.way_back(self.action, self.session.store, self.of, self.session.context.zone)
        self.query_one("#way", Paragraphs).show(rows)

    def _show_end(self) -> None:
        rows = list(self._trouble)
        if self.action is not None:
            rows += stages.hold_rows(self.action, self.of, self._lost_at) or ending(self.action, self.of)
        self.query_one("#end", Paragraphs).show(rows)

    def _show_facts(self) -> None:
        action = self.action
        if action is None:
            return
        rows = [] if action.switch is None else [row("requests", switch_words(action.switch, action.from_, action.to))]
        if kind_of(action.kind).moves:
            rows += cleared(self._red_at_start, red(self.session.store))
        if action.undo and action.status == "succeeded" and kind_of(action.kind).forward:
            rows.append(row("undo", action.undo))
        self.query_one("#facts", Paragraphs).show(rows)

    # ---- keys

    @property
    def subject(self) -> Action | None:
        """The action, once it has been read."""
        return self.action

    def action_menu(self) -> None:
        """What can be ordered of it."""
        if self.action is not None:
            self.app.open_menu(self.action)

    def action_rollback(self) -> None:
        """Plan the way back. With this action still open the rollback is queued to it."""
        if self.action is not None:
            self.app.open_plan(Request(kind="rollback", service=self.action.service))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "rollback":
            return self.action is not None and kind_of(self.action.kind).forward
        if action == "menu":
            return self.action is not None
        return True


def who(action: Action) -> str:
    """`by alice as root on bastion-1   "2.4.1 go"`."""
    parts = []
    if (actor := action.actor) is not None:
        behind = f" as {actor.login}" if actor.login != actor.person else ""
        parts.append(f"by {actor.person}{behind}" + (f" on {actor.host}" if actor.host else ""))
    if action.reason:
        parts.append(f'"{action.reason}"')
    return "   ".join(parts)


def elapsed(action: Action, lost_at: datetime | None = None) -> str:
    """`0:21`, from the start to the end, to when it was last known or to now."""
    if action.started_at is None:
        return "0:00"
    whole = max(0, int(((action.ended_at or lost_at or now()) - action.started_at).total_seconds()))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def switch_words(report: SwitchReport, from_: str, to: str) -> Content:
    """What fresh requests saw while traffic moved."""
    new, old = side_name(to) or "new", side_name(from_) or "old"
    first = f"{new} seen, since when is not known" if report.new_seen else f"{new} not seen"
    if report.first_new_s is not None:
        first = f"first {new} +{report.first_new_s:.1f} s"
    last = f"   last {old} +{report.last_old_s:.1f} s" if report.last_old_s is not None else ""
    return Content.assemble(
        f"{report.requests}   ",
        (f"errors {report.errors}{failed_words(report)}", style_of("critical") if report.errors else ""),
        f"   {first}{last}",
    )


def ending(action: Action, of: Symbols) -> list[Row]:
    """How it ended or why it stopped, what to do, and what a person would type."""
    rows: list[Row] = []
    ordered = action.error is not None and action.error.kind == "ordered"
    went_well = action.status == "succeeded" or (action.status == "rolled_back" and ordered)
    state = "ok" if went_well else "critical" if action.status == "rollback_failed" else "warning"
    if action.status not in ("running", "planned"):
        words = STATUS_WORDS.get(action.status, action.status)
        if action.status in ("succeeded", "aborted") and not action.changed:
            words = outcome(action) if is_noop(action) else "aborted: nothing was changed"
        elif action.status == "succeeded" and kind_of(action.kind).moves:
            words = f"done and {proof_words(action)}"
        elif action.status == "rolled_back":
            words = f"rolled back and {proof_words(action)}"
        style = style_of(action.status)
        if unmended(action):
            state, style = "warning", style_of("warning")
        rows.append(row(mark(state, of), words, style))
    if action.error is not None:
        # A wish that was granted is no failure.
        rows.append(
            row("", action.error.message)
            if ordered
            else row(mark("critical", of), action.error.message, style_of("critical"))
        )
        if action.error.fix:
            rows += [row("", line) for line in action.error.fix.splitlines()]
    rows += [row("", finding.text) for finding in action.findings if finding.code == "undone"]
    rows += worries(unmended(action), of)
    if action.status in _NEEDS_HANDS:
        rows += [row("", f"by hand: {line}") for line in action.undo.splitlines()]
    return rows


def red(store: Store) -> dict[str, str]:
    """What is critical now, by what it is about: a pipeline's newest run, a dataset, an alert, a service, a check."""
    runs: list[PipelineRun] = latest_runs(store.items("pipelines"))
    found = {f"{run.backend}/{run.pipeline}": run.pipeline for run in runs if run.health == "critical"}
    for panel, reading in readings():
        for item in store.items(panel) if reading.checked and panel != "pipelines" else ():
            if severity_rank(item.health) == 0:
                found[item.ref] = reading.title(item)
    return found


def cleared(before: dict[str, str], after: dict[str, str]) -> list[Row]:
    """What was red when this screen opened, and what of it still is."""
    if not before:
        return []
    gone = [name for key, name in before.items() if key not in after]
    left = [name for key, name in before.items() if key in after]
    rows = [row("red", f"{len(before)} when this was opened   {len(gone)} cleared")]
    if gone:
        rows.append(row("cleared", listing(gone)))
    if left:
        rows.append(row("still red", listing(left), style_of("critical")))
    return rows
