"""`teal check`: one line and an exit code for monitoring, within nine seconds."""

import asyncio
import os
from typing import Any

import click
from msgspec.structs import replace

from backends.errors import BackendError
from backends.models import CheckResult, severity_rank, worst
from console.check_results import ACTING, ACTIONS, check_results, judged, of_actions
from console.cli.check_budget import EXIT_UNKNOWN, Ending, within
from console.cli.options import Common, common_options
from console.cli.reading import chosen, patience_s
from console.cli.showing import Answer, show
from console.cli.whole_help import WholeCommand
from console.config.selection import SANDBOX
from console.errors import CommandError
from console.loop import run as run_loop
from console.ports.table import readings
from console.printing.check_output import EXIT_OF_HEALTH, FORMATS, write
from console.printing.output import document
from console.printing.ranges import Range, judged_by, parse_range
from console.session import Acting, Session, opened
from console.streams import forgive, say
from console.zones import zone_of

BUDGET_S = 9.0
READ_S = 8.0
TELLING_S = 0.7
"""So much of the budget is kept for the answer; a read gets the rest, `SHORTEST_READ_S` at least."""
SHORTEST_READ_S = 0.3
LATE = "who acts is unknown: no answer in time"
NOTHING = CheckResult(ref="teal", name="teal", state="unknown", message="no checks configured")


class RangeType(click.ParamType[Any]):
    """A threshold of the monitoring plugins."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Range:
        """Raises click's usage error for anything else."""
        try:
            return parse_range(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(cls=WholeCommand)
@common_options(("nagios", "json", "jsonl", "junit", "prom"))
@click.option("--list", "list_only", is_flag=True, help="The names that can be checked.")
@click.option("--warning", type=RangeType(), metavar="RANGE", help="Warn where the first value of NAME is outside.")
@click.option("--critical", type=RangeType(), metavar="RANGE", help="The same, critical.")
@click.option("--record", is_flag=True, help="Keep in the journal what changed, began and ended.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def check(
    common: Common,
    list_only: bool,
    warning: Range | None,
    critical: Range | None,
    record: bool,
    names: tuple[str, ...],
) -> int:
    """For monitoring: exit 0 ok, 1 warning, 2 critical, 3 unknown, not configured or wrongly called.

    NAMEs are checks of the config, or pipelines, quality, alerts, deployments, actions as a whole; all of them by
    default. `actions` is what is open and who runs it, and is left out where all is well.
    RANGE is [@]START:END as the monitoring plugins write it, and adds to the limits of the config.
    """
    forgive()  # a monitoring host takes the exit code, also where nobody reads the text
    with within(BUDGET_S) as ending:
        failure: CommandError | None = None
        try:
            if (warning or critical) and not names:
                raise CommandError(
                    EXIT_UNKNOWN, "usage", "--warning and --critical need NAMEs", fix="teal check --list"
                )
            run_loop(_check(common, list_only, record, names, (warning, critical), ending))
        except (CommandError, BackendError) as error:
            failure = CommandError(EXIT_UNKNOWN, error.kind, error.message, fix=error.fix)
        except BrokenPipeError:
            raise
        except Exception as error:
            failure = _defect(error)
        if failure is not None and ending.code is None:
            _tell_unable(common, failure, ending)
        return EXIT_UNKNOWN if ending.code is None else ending.code


async def _check(
    common: Common,
    list_only: bool,
    record: bool,
    names: tuple[str, ...],
    ranges: tuple[Range | None, Range | None],
    ending: Ending,
) -> None:
    selection = chosen(common)
    if selection.context.sandbox and SANDBOX not in (common.context, os.environ.get("TEAL_CONTEXT")):
        raise CommandError(EXIT_UNKNOWN, "config", "no config", fix="write one, or say -C sandbox to check the sandbox")
    entries = selection.context.entries
    panels_there = [name for name, _ in judged() if entries[name]]
    each = [name for name, reading in readings() if reading.checked == "each"]
    known = [entry.name for name in each for entry in entries[name]] + panels_there
    known += [ACTIONS] if panels_there else []
    unknown = [name for name in names if name not in known]
    if unknown:
        raise CommandError(
            EXIT_UNKNOWN, "not_found", f'no check "{unknown[0]}"', fix=f"there are: {', '.join(known) or 'none'}"
        )
    if list_only:
        ending.tell(0, lambda: write("".join(f"{name}\n" for name in known)))
        return
    wanted = names or tuple(known)
    panels = [name for name, _ in judged() if name in wanted]
    panels += [other for name, reading in judged() if name in panels for other in reading.beside]
    entries = {**entries, **{name: tuple(entry for entry in entries[name] if entry.name in wanted) for name in each}}
    zone = zone_of(selection.context.config.timezone)
    selection = replace(selection, context=replace(selection.context, entries=entries))
    session = Session(selection, panels=tuple(dict.fromkeys((*each, *panels))), keeps=record)
    async with opened(session):
        deadline_s = max(SHORTEST_READ_S, min(common.timeout_s or READ_S, READ_S, ending.left_s() - TELLING_S))
        session.orders.patience_s = patience_s(deadline_s)
        session.orders.unasked = "a check does not show it"  # a preflight of each switch would be up to 2 s
        session.orders.begin_care()
        acts = bool(ACTING & {*wanted})  # who acts is of no other check
        asking = asyncio.create_task(session.open_actions() if acts else _nobody_asks())

        def results() -> list[CheckResult]:
            """What has answered by now; what has not is unknown."""
            found = [result for result in check_results(session) if result.name in wanted]
            if acts:
                acting = asking.result() if asking.done() and not asking.cancelled() else Acting(unknown=LATE)
                told = of_actions(acting, zone, session.orders.rooms())
                found += [told] if told.state != "ok" or ACTIONS in names else []
            judging = [judged_by(result, *ranges) for result in found] if any(ranges) else found
            return sorted(judging, key=lambda result: severity_rank(result.state))

        def tell() -> list[CheckResult]:
            answered = results()
            code = EXIT_OF_HEALTH[worst([result.state for result in answered])]
            ending.tell(code, lambda: _show(common, session, answered))
            return answered

        ending.known = tell
        await asyncio.gather(session.read(deadline_s=deadline_s, look=False), asking)
        answered = tell()
        if record:
            await _record(session, answered)
        else:
            await session.memory.look()


async def _nobody_asks() -> Acting:
    return Acting()


def _show(common: Common, session: Session, results: list[CheckResult]) -> None:
    if common.output in FORMATS:
        write(FORMATS[common.output](results or [NOTHING], session.context.name))
        return
    health = worst([result.state for result in results])
    shown = document("check", results, context=session.context.name, snapshots=session.sources(), health=health)
    show(common, Answer(shown, list))


async def _record(session: Session, results: list[CheckResult]) -> None:
    from console.check_record import record_changes

    try:
        await record_changes(session.orders, session.context.name, results)
        await session.orders.say_looked()
        await session.memory.look()
    except BackendError as error:
        say(f"teal: not recorded: {error.message} ({error.fix})")


def _tell_unable(common: Common, error: CommandError, ending: Ending) -> None:
    """Where nothing could be checked, that is what the output says; JSON is left to the common ending."""
    if common.output not in FORMATS:
        raise error
    message = f"{error.message} ({error.fix})" if error.fix else error.message
    if common.output == "nagios":
        ending.tell(EXIT_UNKNOWN, lambda: write(f"UNKNOWN: {message}\n"))
        return
    result = CheckResult(ref="teal", name="teal", state="unknown", message=message)
    ending.tell(EXIT_UNKNOWN, lambda: write(FORMATS[common.output]([result], common.context or "")))
    say(f"teal: {message}")


def _defect(error: Exception) -> CommandError:
    from console.crash import of_defect

    told = of_defect(error)
    return CommandError(EXIT_UNKNOWN, told.kind, told.message, fix=told.fix)
