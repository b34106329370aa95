"""What people did to a repository, as events of the timeline: dispatches, reruns, deployments."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from backends.errors import BackendError
from backends.models import Health, TimelineEvent
from backends.pipelines.github.api import PAGE, GitHubApi
from backends.pipelines.github.wire import Deployment, DeploymentStatus, Run
from backends.text import clean, link
from backends.times import parse_time
from backends.together import together

MAX_DEPLOYMENTS = 30
MAX_PAGES = 3
SIDE_BY_SIDE = 4
_HEALTH: dict[str, Health] = {"error": "critical", "failure": "critical"}


def events_of_runs(
    runs: Iterable[Run], names: Mapping[int, str], ids: Mapping[int, str], backend: str
) -> list[TimelineEvent]:
    """Runs that somebody dispatched, and new attempts of any: what came by itself the runs show already."""
    found = []
    for run in runs:
        pipeline = clean(names.get(run.workflow_id, str(run.workflow_id)), 250)
        who = clean(run.who or "somebody", 80)
        ref = f"{backend}/{pipeline}/{ids.get(run.id, str(run.id))}"
        url = link(run.html_url, 300)
        created = parse_time(run.created_at)
        if run.event == "workflow_dispatch" and created is not None:
            by = clean(run.actor.login, 80) if run.actor is not None else who
            text = clean(f"{by} triggered {pipeline} on {run.head_branch or run.head_sha[:7]}", 300)
            found.append(TimelineEvent(at=created, kind="workflow_dispatch", ref=ref, text=text, url=url))
        if run.run_attempt > 1 and run.began is not None:
            text = f"{who} ran {pipeline} again (attempt {run.run_attempt})"
            found.append(TimelineEvent(at=run.began, kind="rerun", ref=ref, text=text, url=url))
    return found


async def read_deployments(server: GitHubApi, backend: str, since: datetime, until: datetime) -> list[TimelineEvent]:
    """The newest of that time, with what became of them. None where the token may not see deployments."""
    found: list[Deployment] = []
    try:
        for page in range(1, MAX_PAGES + 1):
            answer = await server.get("/deployments", tuple[Deployment, ...], {"per_page": PAGE, "page": page})
            found += [each for each in answer if _is_within(each, since, until)]
            oldest = parse_time(answer[-1].created_at) if answer else None
            if len(answer) < PAGE or len(found) >= MAX_DEPLOYMENTS or (oldest is not None and oldest < since):
                break
    except BackendError as error:
        if error.kind in ("auth", "not_found"):
            return []
        raise
    limit = asyncio.Semaphore(SIDE_BY_SIDE)

    async def event(deployment: Deployment) -> TimelineEvent:
        async with limit:
            path = f"/deployments/{deployment.id}/statuses"
            statuses = await server.get(path, tuple[DeploymentStatus, ...], {"per_page": 10})
        return _event(deployment, statuses[0] if statuses else None, backend)

    return list(await together(*map(event, found[:MAX_DEPLOYMENTS])))


def _is_within(deployment: Deployment, since: datetime, until: datetime) -> bool:
    at = parse_time(deployment.created_at)
    return at is not None and since <= at <= until


def _event(deployment: Deployment, status: DeploymentStatus | None, backend: str) -> TimelineEvent:
    at = parse_time(deployment.created_at)
    assert at is not None
    state = clean(status.state, 40).replace("_", " ") if status is not None else "pending"
    ended = parse_time(status.created_at) if status is not None else None
    who = deployment.creator.login if deployment.creator is not None else "somebody"
    ref = deployment.ref if deployment.ref and deployment.ref != deployment.sha else ""
    what = f"{deployment.sha[:7]} ({ref})" if ref else deployment.sha[:7]
    return TimelineEvent(
        at=at,
        kind="deployment",
        ref=f"{backend}/{clean(deployment.environment, 200)}",
        text=clean(f"{who} deployed {what} to {deployment.environment}: {state}", 300),
        url=link(status.target_url or "", 300) if status is not None else None,
        health=_HEALTH.get(state, "ok"),
        until=ended if ended is not None and ended > at else None,
    )
