"""A DAG of commands as the config writes it, and as one run keeps it: pure data, checked when it is built."""

import re
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from backends.environment import Variable
from backends.ports import PipelineParam
from backends.settings import Duration, Secret

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@-]{0,199}")


def is_run_id(text: str) -> bool:
    """Whether `text` can name a run: it becomes a directory and a part of refs."""
    return _RUN_ID.fullmatch(text) is not None


class TaskConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One command.

    name: what the task is called.
    command: program and arguments, without a shell, run in the directory of the config.
    depends_on: the tasks that have to succeed first.
    retries: tries after the first.
    retry_delay: between two tries.
    timeout: of one try; without it, it may take as long as it likes.
    """

    name: str
    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    depends_on: tuple[str, ...] = ()
    retries: Annotated[int, Meta(ge=0, le=100)] = 0
    retry_delay: Duration = Duration(0)
    timeout: Duration | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f'task name "{self.name}": use letters, digits, dots, dashes and underscores')
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"task {self.name}: timeout must be above 0")


class DagConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline.

    name: what the pipeline is called.
    tasks: its commands.
    schedule: shown, not kept: cron or a timer triggers the runs.
    params: its parameters with their defaults; others are refused.
    env: what tasks get besides: names of variables that are handed on, or values by name, of which a reference to a
        variable is one that is handed on.
    """

    name: str
    tasks: Annotated[tuple[TaskConfig, ...], Meta(min_length=1)]
    schedule: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str | Secret] | tuple[Variable, ...] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f'DAG name "{self.name}": use letters, digits, dots, dashes and underscores')
        in_order(self.tasks)
        if any(isinstance(value, Secret) and value.env is None for value in self.variables.values()):
            raise ValueError(f'DAG {self.name}: a value of `env` is a text, or {{ env = "NAME" }}')

    @property
    def variables(self) -> dict[str, str | Secret]:
        """`env` as values by name."""
        return self.env if isinstance(self.env, dict) else {name: Secret(env=name) for name in self.env}


class RunSpec(Struct, frozen=True, kw_only=True):
    """All that the process of a run needs, as it was when the run was triggered."""

    tasks: tuple[TaskConfig, ...]
    params: dict[str, Any]
    env: dict[str, str | Secret]
    max_active_tasks: int
    directory: str


def in_order(tasks: tuple[TaskConfig, ...]) -> tuple[TaskConfig, ...]:
    """`tasks` with each behind those it depends on. Raises ValueError for duplicates, unknown names and cycles."""
    by_name = {task.name: task for task in tasks}
    if len(by_name) < len(tasks):
        raise ValueError("two tasks have the same name")
    for task in tasks:
        for name in task.depends_on:
            if name not in by_name:
                raise ValueError(f'task {task.name} depends on "{name}", which is no task of this DAG')
    try:
        order = TopologicalSorter({task.name: task.depends_on for task in tasks}).static_order()
        return tuple(by_name[name] for name in order)
    except CycleError as error:
        raise ValueError(f"tasks depend on each other: {' → '.join(reversed(error.args[1]))}") from None


def default_param(name: str, default: Any) -> PipelineParam:
    """A param that is known by its default alone, which says nothing of what else it may be."""
    return PipelineParam(name=name, default=default, nullable=True)
