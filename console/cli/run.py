"""`teal run`: pipeline runs and what can be done with them."""

import contextlib
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import click

from actions.models import ActionKind, Request
from backends.errors import BackendError
from backends.models import LogEntry, Panel, PipelineRun, TaskRun
from backends.ports import Approval
from console.cli.options import TIME, Common, Writing, common_options, key_values, writing_options
from console.cli.order_group import OrderGroup
from console.cli.reading import chosen, read
from console.cli.showing import Answer
from console.cli.writing import RequestMaker, act
from console.errors import EXIT_NOT_FOUND, EXIT_UNREACHABLE, CommandError
from console.loop import run as run_loop
from console.ports.derive import judge_runs
from console.ports.pipelines import PIPELINES
from console.printing.output import document, plain, print_lines, worst_first
from console.printing.tables import View, item_table, log_line
from console.reading.due import followed_for
from console.reading.refs import find_run
from console.session import Session, opened
from console.streams import say
from console.typed_times import TypedTime

if TYPE_CHECKING:
    from console.reading.comparison import Comparison
    from console.reading.triage import Triage

# The scores are read too: a green run may have written what is bad, and its health says so (docs/contract.md, Models).
PANELS: tuple[Panel, ...] = ("pipelines", "quality")


def _request_on(common: Common, kind: ActionKind, ref: str) -> RequestMaker:
    async def request(session: Session) -> Request:
        await session.read(deadline_s=common.timeout_s)
        found = await found_run(session, ref)
        service = f"{found.backend}/{found.pipeline}"
        return Request(kind=kind, service=service, ref=found.ref)

    return request


@click.group(cls=OrderGroup, port="pipelines", request_on=_request_on, metavar="REF", panels=("pipelines",))
def run() -> None:
    """Pipeline runs."""


@run.command("list")
@common_options()
@click.option("--since", type=TIME, default="24h", show_default=True, metavar="T", help="Runs since then.")
@click.option("--state", help="Only runs in this state.")
@click.argument("pipeline", required=False)
def list_(common: Common, since: TypedTime, state: str | None, pipeline: str | None) -> int:
    """Runs over all pipelines, or those of PIPELINE (`prod*`), worst first."""

    async def answer(session: Session) -> Answer:
        runs = [item for item in session.store.items("pipelines") if _matches(item, state, pipeline)]
        found = document(
            "run.list",
            worst_first(runs),
            context=session.context.name,
            snapshots=[found for found in session.sources() if found.key.panel == "pipelines" or found.error],
            limit=50 if common.limit is None else common.limit,
        )
        return Answer(found, lambda: item_table(PipelineRun, found.items, View.at_now(session.context.zone)))

    return read(common, PANELS, answer, since=since)


@run.command()
@common_options()
@click.argument("ref")
def show(common: Common, ref: str) -> int:
    """One run with its tasks, and what kind of trouble it is in. REF: also a unique prefix, PIPELINE@latest,
    PIPELINE@failed."""

    async def answer(session: Session) -> Answer:
        return await shown_run(session, await found_run(session, ref))

    return read(common, PANELS, answer)


@run.command()
@common_options()
@click.option("-f", "--follow", is_flag=True, help="Go on until it has ended.")
@click.argument("ref")
@click.argument("task", required=False)
def log(common: Common, follow: bool, ref: str, task: str | None) -> int:
    """The log of a run, or of one TASK of it."""
    if follow:
        return _follow(common, ref, task)

    async def answer(session: Session) -> Answer:
        found = await _with_task(session, ref, task)
        pipelines = session.adapters.of(PIPELINES, found.backend)
        entries: list[LogEntry] = await pipelines.task_log(found.pipeline, found.run_id, task)
        shown = document(
            "run.log",
            entries,
            context=session.context.name,
            snapshots=session.sources(),
            limit=common.limit,
            health=found.health,
            from_end=True,
        )
        return Answer(shown, lambda: [log_line(entry, session.context.zone) for entry in shown.items])

    return read(common, ("pipelines",), answer)


@run.command()
@common_options()
@writing_options
@click.option("-p", "--param", "params", multiple=True, metavar="K=V", help="A parameter; V: JSON, or text.")
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit 1 where it failed.")
@click.argument("pipeline")
def trigger(common: Common, writing: Writing, params: tuple[str, ...], wait: bool, pipeline: str) -> int:
    """Start a run of PIPELINE."""

    async def request(session: Session) -> Request:
        backend, name = await _backend_of(session, pipeline)
        return Request(kind="trigger", service=f"{backend}/{name}", params=key_values(params))

    return act(common, writing, request, wait_for_run=wait)


@run.command()
@common_options()
@writing_options
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit 1 where it failed.")
@click.argument("ref")
def retry(common: Common, writing: Writing, wait: bool, ref: str) -> int:
    """Run the failed tasks of a run again."""
    return act(common, writing, _request_on(common, "retry", ref), wait_for_run=wait)


@run.command()
@common_options()
@writing_options
@click.argument("pipeline")
def pause(common: Common, writing: Writing, pipeline: str) -> int:
    """Stop the schedule of PIPELINE."""
    return _set_paused(common, writing, "pause", pipeline)


@run.command()
@common_options()
@writing_options
@click.argument("pipeline")
def unpause(common: Common, writing: Writing, pipeline: str) -> int:
    """Resume the schedule of PIPELINE."""
    return _set_paused(common, writing, "unpause", pipeline)


async def shown_run(session: Session, found: PipelineRun) -> Answer:
    """A run with its tasks. Raises BackendError."""
    pipelines = session.adapters.of(PIPELINES, found.backend)
    tasks = await pipelines.tasks(found.pipeline, found.run_id)
    log: list[LogEntry] = []
    failed = next((task for task in tasks if task.state == "failed"), None)
    with contextlib.suppress(BackendError):  # the hint is worse without its log, and the run is shown all the same
        async with session.due.kept():
            log = await pipelines.task_log(found.pipeline, found.run_id, failed.task) if failed is not None else []
    hint = session.triage(found, tasks, log)
    approvals = await pipelines.approvals(found.pipeline, found.run_id) if found.state == "waiting" else []
    beside = await session.compared(found, tasks)
    item = {
        **plain(found), "tasks": [plain(task) for task in tasks],
        "triage": plain(hint) if hint is not None else None, "approvals": [plain(each) for each in approvals],
        "compared": plain(beside),
    }  # fmt: skip
    shown = document("run.show", [item], context=session.context.name, snapshots=session.sources(), health=found.health)
    return Answer(shown, lambda: _run_lines(session, found, tasks, hint, approvals, beside))


def _set_paused(common: Common, writing: Writing, kind: ActionKind, pipeline: str) -> int:
    async def request(session: Session) -> Request:
        backend, name = await _backend_of(session, pipeline)
        return Request(kind=kind, service=f"{backend}/{name}")

    return act(common, writing, request)


def _matches(run: PipelineRun, state: str | None, pipeline: str | None) -> bool:
    named = pipeline is None or run.pipeline == pipeline or fnmatchcase(run.pipeline, pipeline)
    return (state is None or run.state == state) and named


def _run_lines(
    session: Session,
    run: PipelineRun,
    tasks: list[TaskRun],
    hint: "Triage | None",
    approvals: list[Approval],
    beside: "Comparison",
) -> list[str]:
    from console.printing.comparison_lines import differences, headline

    view = View.at_now(session.context.zone)
    lines = [*item_table(PipelineRun, [run], view), "", *item_table(TaskRun, tasks, view)]
    more = [f"note        {run.note}"] if run.note else []
    if hint is not None:
        more += [f"diagnosis   {hint.meaning}", *(f"            {line}" for line in hint.evidence)]
    more += [f"waits       {each.name} {each.detail}".rstrip() for each in approvals]
    more += [f"linked      {line}" for line in session.impact(run.ref)]
    more += [f"last good   {headline(beside, view.now, view.zone)}"]
    more += [f"            {heading:<9} {words}" for heading, words in differences(beside)]
    return [*lines, "", *more] if more else lines


async def found_run(session: Session, ref: str) -> PipelineRun:
    """The run that `ref` names. A whole ref is asked for where the window of the list does not reach it.

    Raises CommandError, BackendError.
    """
    sources = session.sources("pipelines")
    try:
        return find_run(session.store.items("pipelines"), ref, sources)
    except CommandError as missing:
        backend, _, rest = ref.partition("/")
        pipeline, _, run_id = rest.partition("/")
        if not run_id or backend not in {source.key.name for source in sources}:
            raise
        try:
            run = await session.adapters.of(PIPELINES, backend).run(pipeline, run_id)
            return judge_runs([run], session.store.items("quality"), session.links)[0]
        except BackendError as error:
            if error.kind != "not_found":
                raise
            raise missing from None


async def _with_task(session: Session, ref: str, task: str | None) -> PipelineRun:
    """The run, known to have that task. Raises CommandError(5)."""
    found = await found_run(session, ref)
    if task is not None:
        pipelines = session.adapters.of(PIPELINES, found.backend)
        names = [known.task for known in await pipelines.tasks(found.pipeline, found.run_id)]
        if task not in names and task not in {name.partition("[")[0] for name in names}:
            fix = f"tasks: {', '.join(names)}"
            raise CommandError(EXIT_NOT_FOUND, "not_found", f'no task "{task}" in {found.ref}', fix=fix)
    return found


def _follow(common: Common, ref: str, task: str | None) -> int:
    """Each line as it comes, as text or a JSON line; exit 0 when the task or the run has ended."""
    if common.output == "json":
        raise click.UsageError("-f with -o json never ends its document: use -o jsonl")

    async def follow() -> int:
        async with opened(Session(chosen(common), panels=("pipelines",))) as session:
            session.due.begin(common.timeout_s)
            await session.read(deadline_s=common.timeout_s)
            async with session.due.kept():
                found = await _with_task(session, ref, task)
            pipelines = session.adapters.of(PIPELINES, found.backend)
            async with followed_for(session.due.left_s()) as time_for_it:
                async for entry in pipelines.follow_log(found.pipeline, found.run_id, task):
                    if common.output == "jsonl":
                        print_lines([entry])
                    else:
                        click.echo(log_line(entry, session.context.zone))
            if time_for_it.expired():
                say(f"teal: the log of {found.ref} may go on: not followed any longer (--timeout)")
                return EXIT_UNREACHABLE
        return 0

    return run_loop(follow())


async def _backend_of(session: Session, wanted: str) -> tuple[str, str]:
    """The backend and pipeline that `wanted` names, as `pipeline` or `backend/pipeline`. Only the backend that is named
    is asked; where none is, each must answer, since the name could be in the one that does not.

    Raises CommandError(5), BackendError.
    """
    names = [source.key.name for source in session.sources()]
    asked = [name for name in names if wanted.startswith(f"{name}/")] or names
    known = []
    for name in asked:
        try:
            known += [(name, info.pipeline) for info in await session.adapters.of(PIPELINES, name).pipelines()]
        except BackendError as error:
            if len(asked) == 1:
                raise
            fix = f"if you mean another, name it: BACKEND/{wanted}"
            raise BackendError(
                error.kind, f"whether {name} has {wanted} is not known: {error.message}", fix=fix
            ) from None
    found = [pair for pair in known if wanted in (pair[1], "/".join(pair))]
    if len(found) == 1:
        return found[0]
    refs = ", ".join("/".join(pair) for pair in found or known) or "none"
    message = f'"{wanted}" is in several backends' if found else f'no pipeline "{wanted}"'
    raise CommandError(EXIT_NOT_FOUND, "ambiguous" if found else "not_found", message, fix=f"there are: {refs}")
