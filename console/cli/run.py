"""`teal run`: pipeline runs and what can be done with them."""

from datetime import timedelta

import click

from actions.models import ActionKind, Request
from backends.models import LogEntry, PipelineRun, TaskRun
from console.cli.options import DURATION, Common, Writing, common_options, key_values, writing_options
from console.cli.reading import read
from console.cli.showing import Answer
from console.cli.writing import RequestMaker, act
from console.errors import EXIT_NOT_FOUND, CommandError
from console.output import document, plain, worst_first
from console.refs import find_run
from console.session import Session
from console.tables import View, item_table, log_line


@click.group()
def run() -> None:
    """Pipeline runs."""


@run.command("list")
@common_options()
@click.option("--since", type=DURATION, default="24h", show_default=True, help="Runs started within.")
@click.option("--state", help="Only runs in this state.")
@click.argument("pipeline", required=False)
def list_(common: Common, since: float, state: str | None, pipeline: str | None) -> int:
    """Runs over all pipelines, worst first."""

    async def answer(session: Session) -> Answer:
        runs = [item for item in session.store.items("pipelines") if _matches(item, state, pipeline)]
        found = document(
            "run.list",
            worst_first(runs),
            context=session.context.name,
            snapshots=session.sources(),
            limit=50 if common.limit is None else common.limit,
        )
        return Answer(found, lambda: item_table(PipelineRun, found.items, View.at_now(session.context.zone)))

    return read(common, ("pipelines",), answer, since=timedelta(seconds=since))


@run.command()
@common_options()
@click.argument("ref")
def show(common: Common, ref: str) -> int:
    """One run with its tasks. REF may be a unique prefix, PIPELINE@latest or PIPELINE@failed."""

    async def answer(session: Session) -> Answer:
        return await shown_run(session, find_run(session.store.items("pipelines"), ref))

    return read(common, ("pipelines",), answer)


@run.command()
@common_options()
@click.argument("ref")
@click.argument("task", required=False)
def log(common: Common, ref: str, task: str | None) -> int:
    """The log of a run, or of one TASK of it."""

    async def answer(session: Session) -> Answer:
        found = find_run(session.store.items("pipelines"), ref)
        if task is not None:
            names = [known.task for known in await session.tasks(found)]
            if task not in names:
                fix = f"tasks: {', '.join(names)}"
                raise CommandError(EXIT_NOT_FOUND, "not_found", f'no task "{task}" in {found.ref}', fix=fix)
        entries: list[LogEntry] = await session.task_log(found, task)
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
@click.option("-p", "--param", "params", multiple=True, metavar="K=V", help="A parameter; V is JSON where it parses.")
@click.option("--wait", is_flag=True, help="Follow the run to its end; exit 1 where it failed.")
@click.argument("pipeline")
def trigger(common: Common, writing: Writing, params: tuple[str, ...], wait: bool, pipeline: str) -> int:
    """Start a run of PIPELINE."""

    async def request(session: Session) -> Request:
        backend, name = await _backend_of(session, pipeline)
        return Request(
            kind="trigger", service=f"{backend}/{name}", params=key_values(params), timeout_s=common.timeout_s
        )

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
@click.argument("ref")
def cancel(common: Common, writing: Writing, ref: str) -> int:
    """Stop a run."""
    return act(common, writing, _request_on(common, "cancel", ref))


@run.command()
@common_options()
@writing_options
@click.argument("ref")
def approve(common: Common, writing: Writing, ref: str) -> int:
    """Say yes to what of a run waits for a person."""
    return act(common, writing, _request_on(common, "approve", ref))


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
    tasks = await session.tasks(found)
    item = {**plain(found), "tasks": [plain(task) for task in tasks]}
    shown = document("run.show", [item], context=session.context.name, snapshots=session.sources(), health=found.health)
    return Answer(shown, lambda: _run_lines(session, found, tasks))


def _set_paused(common: Common, writing: Writing, kind: ActionKind, pipeline: str) -> int:
    async def request(session: Session) -> Request:
        backend, name = await _backend_of(session, pipeline)
        return Request(kind=kind, service=f"{backend}/{name}", timeout_s=common.timeout_s)

    return act(common, writing, request)


def _matches(run: PipelineRun, state: str | None, pipeline: str | None) -> bool:
    return (state is None or run.state == state) and (pipeline is None or run.pipeline == pipeline)


def _run_lines(session: Session, run: PipelineRun, tasks: list[TaskRun]) -> list[str]:
    view = View.at_now(session.context.zone)
    impact = [f"linked      {line}" for line in session.impact(run.ref)]
    lines = [*item_table(PipelineRun, [run], view), "", *item_table(TaskRun, tasks, view)]
    return [*lines, "", *impact] if impact else lines


def _request_on(common: Common, kind: ActionKind, ref: str) -> RequestMaker:
    async def request(session: Session) -> Request:
        await session.read(deadline_s=common.timeout_s)
        found = find_run(session.store.items("pipelines"), ref)
        service = f"{found.backend}/{found.pipeline}"
        return Request(kind=kind, service=service, ref=found.ref, timeout_s=common.timeout_s)

    return request


async def _backend_of(session: Session, wanted: str) -> tuple[str, str]:
    """The backend and pipeline that `wanted` names, as `pipeline` or `backend/pipeline`. Raises CommandError(5)."""
    known = []
    for source in session.sources():
        for info in await session.adapters.pipelines(source.key.name).pipelines():
            known.append((source.key.name, info.pipeline))
    found = [pair for pair in known if wanted in (pair[1], "/".join(pair))]
    if len(found) == 1:
        return found[0]
    names = ", ".join("/".join(pair) for pair in found or known) or "none"
    message = f'"{wanted}" is in several backends' if found else f'no pipeline "{wanted}"'
    raise CommandError(EXIT_NOT_FOUND, "ambiguous" if found else "not_found", message, fix=f"there are: {names}")
