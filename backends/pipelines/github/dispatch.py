"""Starting a run of a workflow, once: GitHub gives a dispatch no id of ours, so the two are kept together in a file.

The intent is on disk before the request is sent. Where the answer is lost, the runs are looked at for the one that it
made; nothing is sent again while nobody knows.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from backends.errors import BackendError
from backends.json_text import decode_text
from backends.pipelines.github.api import GitHubApi
from backends.pipelines.github.wire import Dispatched, Run, Runs, Workflow
from backends.state_file import StateFile
from backends.text import clean
from backends.times import parse_time

T = TypeVar("T")

DISPATCH = "workflow_dispatch"
_NEEDED = "without it, nothing is started, since it could be started twice"
KEPT = 500
SETTLES_S = 60.0  # within it a run that was made may not be listed yet
LOOKS = 6
LOOK_EVERY_S = 2.0
CLOCKS_S = 5.0
LOOKED_AT = 30


class Dispatch(Struct, frozen=True):
    """One order to start `workflow` under the id of ours, when it was sent, and the run that it made, once known.
    `number`: of GitHub."""

    run_id: str
    workflow: int
    inputs: dict[str, str]
    ref: str
    sent_at: float
    number: int | None = None

    @property
    def may_appear(self) -> bool:
        """Whether it is too early to say that it made no run."""
        return time.time() - self.sent_at < SETTLES_S


class Dispatches:
    """The dispatches of this host, of all its processes."""

    def __init__(self, server: GitHubApi, path: Path, id_input: str) -> None:
        self._server = server
        self._file = StateFile(path)
        self._id_input = id_input
        self._one = asyncio.Lock()

    async def trigger(self, workflow: Workflow, run_id: str, ref: str, inputs: dict[str, str]) -> None:
        """Raises `conflict` for an id in use with other inputs, and while nobody knows what became of it."""
        async with self._one:
            wanted = Dispatch(run_id, workflow.id, inputs, ref, time.time())
            known = await self._claim(wanted)
            if known is not None:
                if (known.workflow, _without(known.inputs, self._id_input)) != (
                    workflow.id, _without(inputs, self._id_input),
                ):  # fmt: skip
                    words = clean(f"run {run_id} of {workflow.pipeline} exists with other params")
                    raise BackendError("conflict", words, fix="use another run id")
                if await self.find(known) is not None:
                    return
                if known.may_appear:
                    words = clean(f"{workflow.pipeline} was dispatched as {run_id} a moment ago, and shows no run yet")
                    raise BackendError("conflict", words, fix="look again in a minute")
                await self._remember(wanted)
            await self._send(wanted)

    async def _send(self, dispatch: Dispatch) -> None:
        path = f"/actions/workflows/{dispatch.workflow}/dispatches"
        body: dict[str, Any] = {"ref": dispatch.ref, "inputs": dispatch.inputs}
        try:
            try:
                answer = await self._server.write("POST", path, {**body, "return_run_details": True})
            except BackendError as error:
                if error.status != 422 or "return_run_details" not in error.message:
                    raise
                answer = await self._server.write("POST", path, body)  # GitHub Enterprise Server; nothing was started
        except BackendError as error:
            if (error.status is not None and 400 <= error.status < 500) or error.kind == "config":
                await self._forget(dispatch)
                raise
            if await self._look(dispatch) is None:
                raise
            return
        if answer.status == 200 and answer.body.strip():
            await self._remember(replace(dispatch, number=answer.decode(Dispatched).workflow_run_id))
        else:
            await self._look(dispatch)

    async def _look(self, dispatch: Dispatch) -> int | None:
        """The run that it made, looked for a few times: it may not be listed at once."""
        for number in range(LOOKS):
            try:
                if (found := await self.find(dispatch)) is not None:
                    return found
            except BackendError:
                if number == LOOKS - 1:
                    return None
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def inputs_of(self, number: int) -> dict[str, Any] | None:
        """What the run of that number was dispatched with; None where that was not from here, or is not known."""
        try:
            known = await self.all()
        except BackendError:
            return None
        found = next((each for each in known.values() if each.number == number), None)
        return None if found is None else dict(_without(found.inputs, self._id_input))

    async def find(self, dispatch: Dispatch) -> int | None:
        """GitHub's number of its run. Raises `conflict` where more than one could be it."""
        if dispatch.number is not None:
            return dispatch.number
        params = {"per_page": LOOKED_AT, "exclude_pull_requests": "true"}
        page = await self._server.get(f"/actions/workflows/{dispatch.workflow}/runs", Runs, params, fresh=True)
        taken = {each.number for each in (await self.all()).values()}
        sent_at = datetime.fromtimestamp(dispatch.sent_at + self._server.skew_s - CLOCKS_S, UTC)
        mine = [run for run in page.workflow_runs if run.id not in taken and self._could_be(run, dispatch, sent_at)]
        found = [run for run in mine if dispatch.run_id in run.display_title]
        if not found and mine:
            login = await self._server.login()
            found = [run for run in mine if not login or (run.actor is not None and run.actor.login == login)]
        if len(found) > 1:
            numbers = ", ".join(str(run.id) for run in found[:5])
            words = clean(f"{dispatch.run_id} is one of the runs {numbers}, nobody knows which")
            raise BackendError("conflict", words, fix="see GitHub for who started which; give runs a `run-name`")
        if not found:
            return None
        await self._remember(replace(dispatch, number=found[0].id))
        return found[0].id

    def _could_be(self, run: Run, dispatch: Dispatch, sent_at: datetime) -> bool:
        created = parse_time(run.created_at)
        return (
            run.event == DISPATCH
            and created is not None
            and created >= sent_at
            and (run.head_branch is None or run.head_branch == dispatch.ref.removeprefix("refs/heads/"))
        )

    async def all(self) -> dict[str, Dispatch]:
        """By our id. Raises BackendError where the file is damaged, or cannot be read: none is not what it says."""
        return await self._in_thread(self._read)

    async def _claim(self, wanted: Dispatch) -> Dispatch | None:
        """Write the intent, or what is known of the id already."""

        def claim() -> Dispatch | None:
            with self._file.locked():
                known = self._read()
                if wanted.run_id in known:
                    return known[wanted.run_id]
                self._write({**known, wanted.run_id: wanted})
            return None

        return await self._in_thread(claim)

    async def _remember(self, dispatch: Dispatch) -> None:
        def remember() -> None:
            with self._file.locked():
                self._write({**self._read(), dispatch.run_id: dispatch})

        await self._in_thread(remember)

    async def _forget(self, dispatch: Dispatch) -> None:
        def forget() -> None:
            with self._file.locked():
                self._write({run_id: each for run_id, each in self._read().items() if run_id != dispatch.run_id})

        await self._in_thread(forget)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            words = clean(f"{self._file.path}: {error.strerror or error}")
            raise BackendError("config", words, fix=f"make it readable: {_NEEDED}") from None

    def _read(self) -> dict[str, Dispatch]:
        content = self._file.read()
        if content is None:
            return {}
        try:
            return decode_text(content, dict[str, Dispatch])
        except msgspec.DecodeError:
            path = self._file.path
            words = f"{path}: damaged: what was started from here is not known"
            fix = f"look at GitHub for what runs, then move it away (mv {quote(str(path))} {quote(f'{path}.damaged')})"
            raise BackendError("config", clean(words), fix=f"{fix}: {_NEEDED}") from None

    def _write(self, known: dict[str, Dispatch]) -> None:
        newest = sorted(known.values(), key=lambda each: each.sent_at)[-KEPT:]
        self._file.replace(msgspec.json.encode({each.run_id: each for each in newest}))


def _without(inputs: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in inputs.items() if key != name}
