"""What a plan says, as rows: what worries first, what will be sent, as whom, how to undo. Pure functions."""

from __future__ import annotations

from textual.content import Content

from actions.facts import digits
from actions.kinds import kind_of
from actions.models import ActionError, ActionKind, Finding, OrderWord, Plan, Refused, Request
from backends.command_line import command
from backends.errors import BackendError
from backends.text import counted, side_name
from console.screens.parts import MUTED, STRONG, Row, mark, row, style_of
from panels.words import Symbols

ORDER: dict[OrderWord, str] = {
    "pause": "Pause", "resume": "Resume", "promote": "Promote", "accept": "Accept evidence", "abort": "Abort",
    "rollback": "Roll back", "takeover": "Take over", "abandon": "Abandon",
}  # fmt: skip
"""What is ordered of an open action, as the first word of its plan and on its button."""
_HASH_CHARS = 8


def subject(
    kind: ActionKind, service: str, ref: str, from_: str, to: str, of: Symbols, *, version: str = "", about: str = ""
) -> Content:
    """`Flip analytics  BLUE → GREEN`, `Release analytics 2.4.1  BLUE → GREEN`, `Retry sandbox/etl/17`."""
    record = kind_of(kind)
    name = about or (service if record.moves else ref or service)
    what = Content.styled(f"{record.verb} {name}" + (f" {version}" if version else ""), STRONG)
    if not record.moves or not to:
        return what
    if from_ == to:
        return Content.assemble(what, "  ", f"{side_name(to)} has it already")
    return Content.assemble(
        what, "  ", f"{side_name(from_)} {of.arrow} {side_name(to)}" if from_ else f"to {side_name(to)}"
    )


def plan_subject(plan: Plan, of: Symbols) -> Content:
    """The first line of a plan."""
    return _of_request(plan.request, plan.service, plan.from_, plan.to, of, plan.about)


def request_subject(request: Request, of: Symbols) -> Content:
    """The first line before there is a plan."""
    return _of_request(request, request.service, "", request.to, of)


def button(request: Request) -> str:
    """What the button of a plan says."""
    kind = kind_of(request.kind)
    return ORDER[request.order] if request.order else kind.button or kind.verb


def _of_request(request: Request, service: str, from_: str, to: str, of: Symbols, about: str = "") -> Content:
    if not request.order:
        return subject(request.kind, service, request.ref, from_, to, of, version=request.version, about=about)
    what = subject(request.kind, service, "", from_, to, of, about=about)
    return Content.assemble((f"{ORDER[request.order]}: ", STRONG), what)


def why_reason(plan: Plan) -> str:
    """Why it must not be done without a reason; empty where it may. As the gate sees it."""
    if plan.must_be_armed:
        return "a reason is needed in a protected context"
    return plan.needs_reason or ("a guard is only overridden with a reason" if plan.request.overrides else "")


_PROGRAMS = ("runs ", "smoke ")  # long, and what matters least: where there is no room for all they are below


def worries(findings: tuple[Finding, ...], of: Symbols) -> list[Row]:
    """What forbids, then what warns; each with what to do."""
    rows: list[Row] = []
    for level in ("block", "warning"):
        for finding in findings:
            if finding.level == level:
                rows.append(Row(mark(level, of), _with_fix(finding.text, finding.fix, style_of(level))))
    return rows


def all_the_same(plan: Plan, context: str) -> str:
    """The command that overrides what forbids the plan, where it may be; no key of the console does."""
    blocks = [finding for finding in plan.findings if finding.level == "block"]
    if not blocks or not all(finding.overridable for finding in blocks) or plan.request.order:
        return ""
    request = plan.request
    given = {"to": request.to, "version": request.version, "strategy": request.strategy}
    overrides = " ".join(f"--override {code}" for code in dict.fromkeys(finding.code for finding in blocks))
    kind, service = request.kind, request.service
    told = command(
        f"deploy {kind}", service, context=context, flags=f'{overrides} --reason "…"',
        **{name: value for name, value in given.items() if value},
    )  # fmt: skip
    return f"all the same: {told}"


def assurances(findings: tuple[Finding, ...], of: Symbols, *, all_of_them: bool) -> list[Row]:
    """What was found in order: one line, or one each."""
    good = [finding for finding in findings if finding.level == "ok"]
    if not good:
        return []
    if all_of_them:
        return [row(mark("ok", of), finding.text) for finding in good]
    checks = f"{counted(len(good), 'check')} ok"
    return [row(mark("ok", of), f"{checks}: " + "; ".join(finding.text for finding in good))]


def effects(plan: Plan, identity: str, *, preconditions: bool) -> list[Row]:
    """What will be sent, as whom, how to undo; `preconditions` adds what must still hold at the write."""
    programs = [effect for effect in plan.summary.effects if effect.startswith(_PROGRAMS)]
    rows = [_labelled("sends", effect) for effect in plan.summary.effects if effect not in programs]
    rows.append(row("as", identity))
    if plan.summary.undo or not (plan.request.order or plan.blocked or plan.already):
        rows.append(row("undo", plan.summary.undo or "there is no way back from here"))
    rows += [_labelled("runs", program) for program in programs]
    if preconditions:
        rows += [row("if still", condition) for condition in plan.summary.preconditions]
    return rows


def refusal(error: Refused | BackendError | TimeoutError, of: Symbols) -> list[Row]:
    """Why there is no plan, or no action, and what to do."""
    match error:
        case Refused():
            rows = worries(tuple(finding for finding in error.findings if finding.level == "block"), of)
            said = {finding.text for finding in error.findings if finding.level == "block"}
            return rows if error.error.message in said else [_error_row(error.error, of), *rows]
        case BackendError():
            return [_error_row(ActionError(kind=error.kind, message=error.message, fix=error.fix), of)]
        case _:
            text = "no answer in time: the source is slow or hangs"
            return [_error_row(ActionError(kind="timeout", message=text, fix="look at it under @, then try again"), of)]


def changed(old: Plan, new: Plan, of: Symbols) -> list[Row]:
    """What is different in a plan made anew: nothing where it is the same in all that was agreed to."""
    if old.hash != new.hash:
        hashes = f"{short(old.hash)} {of.arrow} {short(new.hash)}"
        return [row(mark("warning", of), f"the plan changed since you looked: {hashes}", style_of("warning"))]
    if _worrying(old) != _worrying(new):
        return [row(mark("warning", of), "the findings changed since you looked", style_of("warning"))]
    return []


def short(plan_hash: str) -> str:
    """Enough of a hash to compare by eye."""
    return digits(plan_hash)[:_HASH_CHARS]


def _worrying(plan: Plan) -> set[tuple[str, str]]:
    return {(finding.level, finding.code) for finding in plan.findings if finding.level != "ok"}


def _labelled(label: str, text: str) -> Row:
    """An effect whose first word is set off by two spaces brings its own label."""
    head, gap, rest = text.partition("  ")
    if gap and head and " " not in head and len(head) <= 9:
        return row(head, rest.strip())
    return row(label, text)


def _with_fix(text: str, fix: str, style: str) -> Content:
    if not fix:
        return Content.styled(text, style)
    return Content.assemble((text, style), (f": {fix}", "" if style else MUTED))


def _error_row(error: ActionError, of: Symbols) -> Row:
    return Row(mark("block", of), _with_fix(error.message, error.fix, style_of("block")))
