"""A written include is put in force: checked, reloaded, and proven by what runs; else the old one again."""

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from backends.deployments.file_store import Problem, from_anywhere, replace_file, run_command, start_of
from backends.deployments.nginx.include import accepting_workers, gone_master, left_workers, running
from backends.deployments.switch_format import StampedForm
from backends.errors import BackendError
from backends.literals import shown_command

WITHOUT_MASTER = "end nginx's workers, where they serve on without their master, and start nginx"
PROVEN_S = 10.0
PROOFS = 3
_POLL_S = 0.05
_EMERGENCY = re.compile(r"\[emerg\].*?(?= nginx: |$)")


class Force:
    """Of the include at `path`, which `form` reads. `stamp_url`, `pid_file`, `validate` and `reload`: as the config has
    them; both commands run in `base_dir`, with `env`."""

    def __init__(
        self,
        path: Path,
        form: StampedForm,
        *,
        colors: tuple[str, ...],
        stamp_url: str,
        pid_file: Path | None,
        validate: tuple[str, ...],
        reload: tuple[str, ...],
        base_dir: Path,
        env: Iterable[str],
    ) -> None:
        self._path = path
        self._form = form
        self._colors = colors
        self._stamp_url = stamp_url
        self._pid_file = pid_file
        self._validate = validate
        self._reload = reload
        self._base_dir = base_dir
        self._env = env

    async def apply(self, content: bytes, before: bytes, runs: dict[str, int], *, back: bool) -> None:
        """`content` stands in the file where `before` stood, and nginx runs the shares `runs`. Two files stay, whatever
        fails, or the next start would move the traffic to where somebody has just ordered it away from: one that leads
        to where nginx is already, and that of a way `back` where no master is left to be told of it. Raises
        BackendError as `NginxSwitch.shift`."""
        disarms = self._form.read(content).weights == runs != self._form.read(before).weights
        problem = await self.run(self._validate)
        if problem:
            await self._restore(content, before, problem)
            if disarms and await self.run(self._validate):  # it was refused before
                await self._restore(before, content, problem)
                raise self._disarmed(problem)
            raise BackendError("failed", f"{problem}; the old file is back in place", fix="correct it by hand")
        old_workers = await self._workers()
        problem = await self.run(self._reload)
        ran = problem.has_begun  # "nginx -s reload; sleep 1; exit 3" sent ten requests to the new side
        if not problem or problem.may_have_worked:
            unproven = await self._unproven(content, old_workers)
            problem, ran = Problem((problem or unproven) if unproven else ""), unproven.may_have_worked
        if problem and disarms:
            raise self._disarmed(problem)
        if problem and back and (gone := self.gone_master()):
            words = f"{problem}; ARMED: {gone}, and the next start of nginx goes back"
            raise BackendError("unreachable", words, fix=self.finish())
        if problem:
            raise await self._put_back(content, before, problem, ran=ran)

    async def run(self, command: tuple[str, ...]) -> Problem:
        """What is wrong, in nginx's own words; empty for nothing."""
        problem = await asyncio.to_thread(run_command, command, self._base_dir, self._env)
        found = _EMERGENCY.search(problem)
        return Problem(f"{shown_command(command)}: {found[0]}") if found else problem  # nginx took nothing over

    async def _restore(self, content: bytes, before: bytes, problem: str) -> None:
        """The old file, where the new one still stands: what somebody else wrote there meanwhile stays."""
        try:
            await asyncio.to_thread(replace_file, self._path.resolve(), before, of=content, back=True)
        except BackendError as error:
            if error.kind == "conflict":
                raise BackendError("conflict", f"{problem}; {error.message}: that stays", fix=error.fix) from None
            raise

    def _disarmed(self, problem: str) -> BackendError:
        words = f"{problem}; {self._path} says what nginx runs now: a restart keeps the traffic where it is"
        return BackendError("unreachable", words, fix=f"see nginx's error log, then {self.finish()}")

    def gone_master(self) -> str:
        """Which process of the pid file, the only one that reads the include, is gone; empty where it is there, or
        nobody can see it."""
        gone = gone_master(self._pid_file) if self._pid_file else 0
        return f"nginx's master (pid {gone}) is gone: nobody reads {self._path}" if gone else ""

    def finish(self) -> str:
        """What puts the file in force, in words or as a line of shell. Looks at processes, for a thread."""
        return self.reload_line() or WITHOUT_MASTER

    def reload_line(self) -> str:
        """A line of shell that makes nginx read the file: a reload; where its master is gone a start, once the workers
        that it left have given the sockets back. Empty where the config's reload tells no start."""
        gone, start = gone_master(self._pid_file) if self._pid_file else 0, start_of(self._reload)
        if not gone:
            return from_anywhere(self._base_dir, self._reload)
        sudo = self._reload[:1] if self._reload[:1] == ("sudo",) else ()
        left = [str(pid) for pid in left_workers()]
        ended: list[Sequence[str]] = [(*sudo, "kill", "-QUIT", *left), ("sleep", "1")] if left else []
        return from_anywhere(self._base_dir, *ended, start) if start else ""

    async def _put_back(self, content: bytes, before: bytes, problem: str, *, ran: bool) -> BackendError:
        """The old file, and a reload: one that came late would have read the new one. `ran`: that the new one did, or
        may have."""
        try:
            await self._restore(content, before, problem)
            again = await self.run(self._reload)
            still = await self._unproven(before, set())
        except BackendError as error:
            if error.kind == "conflict":
                return error
            again, still = Problem(), Problem(error.message)
        if not still:
            return BackendError(
                "failed", f"{problem}; the old file is back in place and runs", fix="see nginx's error log",
                taken_back=ran,
            )  # fmt: skip
        message = f"{problem}; ARMED, the old file could not be put in force: {again or still}"
        return BackendError("unreachable", message, fix=f"see nginx's error log, then {self.finish()}")

    async def _unproven(self, content: bytes, old_workers: set[int]) -> Problem:
        """Waits until what runs is `content`, and no old worker takes connections. Why not, after ten seconds; in doubt
        where it ran for a moment all the same, or nobody could look at the end."""
        file, generation = self._form.read(content), self._form.generation(content)
        deadline, proofs, said, ran, looked = time.monotonic() + PROVEN_S, 0, "", False, False
        while time.monotonic() < deadline:
            try:
                runs = await running(self._stamp_url, self._colors)
                matches = (runs.generation, runs.stamp, runs.shares) == (generation, file.stamp, file.weights)
                proofs, said = (proofs + 1 if matches else 0), f"it runs gen {runs.generation}, not {generation}"
                ran, looked = ran or matches, True
            except BackendError as error:
                proofs, said, looked = 0, error.message, False
            if proofs >= PROOFS:
                if not (old_workers & await self._workers()):
                    return Problem()
                said = "an old worker still takes connections"
            await asyncio.sleep(_POLL_S)
        words = f"nginx kept what it ran after {shown_command(self._reload)}: {said}"
        return Problem.in_doubt(words) if ran or not looked else Problem(words)

    async def _workers(self) -> set[int]:
        return await asyncio.to_thread(accepting_workers, self._pid_file) if self._pid_file else set()
