"""Orders to GitHub Actions about a run that is there. Each is sent once; after a lost answer the run is looked at."""

import re

from backends.errors import BackendError
from backends.pipelines.github.api import GitHubApi
from backends.pipelines.github.reading import Reading
from backends.pipelines.github.wire import PendingDeployment, Run
from backends.ports import Approval
from backends.text import clean
from backends.times import parse_time

_IS_OVER = re.compile(r"unable to re|cannot be re|already running|month ago", re.IGNORECASE)


class GitHubOrders:
    """Rerun, cancel, approve."""

    def __init__(self, server: GitHubApi, reading: Reading) -> None:
        self._server = server
        self._reading = reading

    async def ended_run(self, pipeline: str, run_id: str) -> Run:
        """Raises `not_found`, and `conflict` while it is open."""
        run = await self._reading.run(pipeline, run_id)
        if not run.is_ended:
            words = clean(f"run {run_id} of {pipeline} is {run.status}")
            raise BackendError("conflict", words, fix="cancel it first, or wait")
        return run

    async def retry(self, pipeline: str, run_id: str) -> None:
        """Raises `conflict` while it is open, and where GitHub runs it no more (after 30 days)."""
        run = await self.ended_run(pipeline, run_id)
        if run.state in ("success", "skipped"):
            return
        try:
            await self._server.write("POST", f"/actions/runs/{run.id}/rerun-failed-jobs")
        except BackendError as error:
            if error.status is None or error.status >= 500:
                if (await self._now(run)).run_attempt > run.run_attempt:
                    return
            elif error.kind == "auth" and _IS_OVER.search(error.message):
                raise BackendError("conflict", error.message, fix="trigger it anew", status=403) from None
            raise

    async def cancel(self, pipeline: str, run_id: str) -> None:
        """Raises `not_found`."""
        run = await self._reading.run(pipeline, run_id)
        if run.is_ended:
            return
        try:
            await self._server.write("POST", f"/actions/runs/{run.id}/cancel")
        except BackendError:
            if not (await self._now(run)).is_ended:
                raise

    async def approvals(self, pipeline: str, run_id: str) -> list[Approval]:
        """Raises `not_found`."""
        return [
            Approval(
                name=clean(each.environment.name, 250),
                since=parse_time(each.wait_timer_started_at),
                mine=each.current_user_can_approve,
                detail=_reviewers(each),
            )
            for each in await self._pending(await self._reading.run(pipeline, run_id))
        ]

    async def approve(self, pipeline: str, run_id: str, comment: str) -> None:
        """Raises `not_found`, `conflict` where nothing waits, `auth` where others have to."""
        run = await self._reading.run(pipeline, run_id)
        pending = await self._pending(run)
        if not pending:
            raise BackendError("conflict", clean(f"nothing in run {run_id} of {pipeline} waits for an approval"))
        mine = [each.environment.id for each in pending if each.current_user_can_approve]
        if not mine:
            words = clean(f"{pending[0].environment.name} is not ours to approve{_reviewers(pending[0], ': ')}")
            raise BackendError("auth", words, fix="ask one of them")
        body = {"environment_ids": mine, "state": "approved", "comment": comment}
        try:
            await self._server.write("POST", f"/actions/runs/{run.id}/pending_deployments", body)
        except BackendError as error:
            if error.status is not None and error.status < 500:
                raise
            if {each.environment.id for each in await self._pending(run)} & set(mine):
                raise

    async def _pending(self, run: Run) -> tuple[PendingDeployment, ...]:
        path = f"/actions/runs/{run.id}/pending_deployments"
        return await self._server.get(path, tuple[PendingDeployment, ...], fresh=True)

    async def _now(self, run: Run) -> Run:
        return await self._server.get(f"/actions/runs/{run.id}", Run, fresh=True)


def _reviewers(pending: PendingDeployment, before: str = "") -> str:
    names = [each.reviewer.login or each.reviewer.name or "" for each in pending.reviewers]
    return clean(before + "by " + ", ".join(filter(None, names)), 300) if any(names) else ""
