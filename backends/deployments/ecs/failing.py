"""Why the tasks of a deployment do not come up, in words, and the last lines of what they logged."""

import re

from backends.deployments.ecs.cluster import Cluster
from backends.deployments.ecs.wire import Definition, Event, Rolling, Service, Task, short_of
from backends.errors import BackendError
from backends.redaction import quoted
from backends.text import clean

LOG_LINES = 3
_CAPACITY = re.compile(r"unable to (?:consistently )?(?:place|start)[^.]*\.?\s*(?:Reason:)?\s*(.*)", re.DOTALL)
_WORDS = (
    (re.compile(r"CannotPullContainer", re.I), "the image can not be pulled"),
    (re.compile(r"OutOfMemory", re.I), "out of memory"),
    (re.compile(r"failed (?:ELB|container) health checks", re.I), "the health check fails"),
    (re.compile(r"ResourceInitializationError", re.I), "secrets, logs or network could not be set up"),
    (re.compile(r"CannotStartContainer|CannotCreateContainer", re.I), "the container does not start"),
)


async def why_failing(cluster: Cluster, service: Service, deployment: Rolling, container: str) -> str:
    """Of the newest task of that deployment that was stopped, else of the place that no task finds; empty for neither.
    What can not be read is left out, but for a right that is missing."""
    try:
        tasks = await cluster.stopped(service.service_name, deployment.id)
    except BackendError as error:
        return f"why its tasks stop can not be read: {error.message}" if deployment.failed_tasks else ""
    failed = [task for task in tasks if not is_planned(task)]
    if not failed:
        return capacity(service.events)
    words = stopped_words(failed[0])
    try:
        definition = await cluster.definition(failed[0].task_definition_arn)
        lines = await last_lines(cluster, definition, failed[0], container)
    except BackendError as error:
        return f"{words}; its log can not be read: {error.message}" if error.kind == "auth" else words
    return words + (f"; its log: {' | '.join(lines)}" if lines else "")


def is_planned(task: Task) -> bool:
    """Whether ECS stopped it since it was not wanted any more."""
    return task.stop_code == "ServiceSchedulerInitiated" and "health checks" not in task.stopped_reason


def stopped_words(task: Task) -> str:
    """`out of memory: container model: OutOfMemoryError: … (exit code 137)`."""
    said = [each for each in task.containers if each.reason or each.exit_code not in (None, 0)]
    told = [task.stopped_reason, *(each.reason for each in said)]
    short = next((words for pattern, words in _WORDS if any(pattern.search(each) for each in told)), "a task stopped")
    details = [quoted(task.stopped_reason)] if task.stopped_reason else []
    for each in said:
        code = f" (exit code {each.exit_code})" if each.exit_code is not None else ""
        reason = f": {quoted(each.reason)}" if each.reason and each.reason != task.stopped_reason else ""
        details.append(f"container {clean(each.name, 64)}{reason}{code}")
    return f"{short}: {'; '.join(details)}" if details else short


def capacity(events: list[Event]) -> str:
    """That no task finds a place, as the newest event says it; empty where it says something else."""
    newest = events[0].message if events else ""
    found = _CAPACITY.search(newest)
    return f"no capacity: {quoted(found[1].strip() or newest)}" if found else ""


async def last_lines(cluster: Cluster, definition: Definition, task: Task, container: str) -> list[str]:
    """The end of its log where its driver is awslogs, which says where that is. Raises BackendError."""
    chosen = definition.container(container) or (definition.containers[0] if definition.containers else None)
    options = (chosen.log_configuration if chosen else {}).get("options") or {}
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if chosen is None or chosen.log_configuration.get("logDriver") != "awslogs" or not group or not prefix:
        return []
    stream = f"{prefix}/{chosen.name}/{short_of(task.task_arn)}"
    answer = await cluster.account.read(
        "logs", "get_log_events", logGroupName=group, logStreamName=stream, limit=LOG_LINES, startFromHead=False
    )
    return [quoted(str(event.get("message", "")).strip()) for event in answer.get("events", [])[-LOG_LINES:]]
