"""Traffic moved by a file: the weights of two colors, written atomically, checked, reloaded and read back.

It serves whatever follows a file: an `include` of nginx, the file providers of Traefik and Envoy, the sandbox's router.
What is live is proven by fresh requests: that the file was written says nothing of the process that reads it.
"""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from backends.deployments.command_deployer import command_deployer
from backends.deployments.common import DeploymentConfig
from backends.deployments.file_store import (
    Problem,
    by_hand_at,
    from_anywhere,
    link_words,
    locked,
    read_bounded,
    replace_file,
    run_command,
    write_command,
)
from backends.deployments.pending import PendingMark, between, in_force
from backends.deployments.sides import UrlSides, control_words, moves_words, shares_words
from backends.deployments.switch_format import (
    MAX_BYTES,
    JsonForm,
    TemplateForm,
    armed_by_hand,
    check_weights,
    edit_finding,
    refuse_older_fence,
    template_problem,
)
from backends.errors import BackendError, nothing_sent
from backends.literals import shown_command
from backends.models import ColorState, Deployment, Finding, TruthLayer
from backends.paths import path_of
from backends.ports import Deployer, RequestCounts, SwitchState
from backends.registry import AdapterContext
from backends.text import first_line

_BACK, _BY_HAND = "the old file is back in place", "correct it by hand"


class FileSwitchConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file that something follows.

    path: the file that is written, atomically.
    format: `json`: weights by color; `template`: the text of `template`.
    template: the text of the file: {live}, or {COLOR} or {COLOR_weight} of each color, and {stamp} once, where a
        comment may stand.
    comment: what begins a comment in it: the mark of the last write is kept in one.
    validate: run with the new file in place; puts the old one back where it fails.
    reload: makes the proxy read the file. Both are run again for a write that nobody saw end: twice is as once.
    """

    path: str
    format: Literal["json", "template"] = "json"
    template: str = ""
    comment: str = "#"
    validate: tuple[str, ...] = ()
    reload: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.format == "template" and (problem := template_problem(self.template, self.colors)):
            raise ValueError(problem)
        if self.format == "json" and self.template:
            raise ValueError('template needs format = "template"')

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The file, by its true name."""
        return frozenset({f"file {path_of(self.path, base_dir).resolve()}"})


class FileSwitch:
    """The `Switch` of one service whose weights are in a file of this host."""

    api = 1
    Config = FileSwitchConfig

    def __init__(self, config: FileSwitchConfig, context: AdapterContext) -> None:
        self._config = config
        self._service = context.name
        self._base_dir = context.base_dir
        self._path = path_of(config.path, context.base_dir)
        self._form = (
            JsonForm(config.colors)
            if config.format == "json"
            else TemplateForm(config.colors, config.template, config.comment)
        )
        self._sides = UrlSides(config, context.http)
        self._deployer = command_deployer(config, context, health=self.color_health, observe=self.observe)

    @property
    def object_id(self) -> str:
        """As the port says."""
        return str(self._path.resolve())

    @property
    def can_split(self) -> bool:
        """JSON carries weights; so does a template, unless it says `{live}`."""
        return "{live}" not in self._config.template

    @property
    def deployer(self) -> Deployer | None:
        """The `deploy` command of the config."""
        return self._deployer

    @property
    def write_settles_s(self) -> float:
        """0: the file is written by this process or not at all; one whose commands have not ended shows as ARMED."""
        return 0.0

    async def deployment(self) -> Deployment:
        """The file, both sides and one fresh request, side by side. Never raises: what is not known says so."""
        control = await self._control()
        return await self._sides.deployment(self._service, control)

    async def observe(self) -> SwitchState:
        """The file now. Where nobody saw its commands end it is `armed`, and which one of it and the one before runs is
        not known. Raises BackendError where it is there and can not be read."""
        found = await asyncio.to_thread(self._observe)
        if found.weights:
            return found
        if not found.revision:
            return await self._sides.anew(found, "begin it", lambda weights: self.manual_commands(weights)[:1])
        found = replace(found, detail=found.detail + link_words(self._path, found))
        return await self._sides.anew(found, "write it anew", self.manual_commands)

    async def color_health(self, color: str) -> ColorState:
        """`color` at its own health URL. Never raises."""
        return await self._sides.health(color)

    async def endpoints(self) -> TruthLayer:
        """The sides that the file sends traffic to, each asked at its own health URL."""
        return await self._sides.endpoints(await self._control())

    async def request_counts(self) -> RequestCounts:
        """As the sides' own expositions count them: the file takes no requests."""
        return await self._sides.request_counts()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """Rights: a file is replaced, so its directory must be writable; ARMED; else what `validate` says of it now.

        Raises BackendError(auth) where the directory is not writable.
        """
        found, directory = await self.observe(), self._path.resolve().parent
        if not os.access(directory, os.W_OK):
            raise BackendError("auth", f"{directory}: not writable", fix="let this user write the file's directory")
        edits = [edit_finding(self._path, found)] if found.edited and (found.weights or expected.over) else []
        if found.weights and found.armed:
            fix = "reload, or write it again"
            return [*edits, Finding(level="warning", code="switch-armed", text=first_line(found.detail), fix=fix)]
        if problem := await asyncio.to_thread(self._run, self._config.validate):
            text = f"validate refuses the file as it is, before any change: {problem}"
            fix = "correct it, then plan anew"
            return [*edits, Finding(level="block", code="switch-validate", text=text, fix=fix, overridable=True)]
        return edits

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """Compare and write under a lock; returns what was read back.

        Raises BackendError: `conflict` where the file is not `expected`, `config` for weights that can not be,
        `failed` where `validate` or `reload` fails, `auth`, `timeout` and `unreachable`. The file is as it was then,
        unless somebody else wrote it meanwhile; ARMED where nobody knows whether a reload has worked.
        """
        problem = check_weights(weights, self._config.colors)
        if problem:
            raise BackendError("config", f"{self._path}: refused: {problem}", fix="weights in percent, summing to 100")
        return await asyncio.to_thread(self._shift, expected, weights, stamp, fence, journal)

    async def mark_ended(self, expected: SwitchState) -> None:
        """As `shift`; nothing is reloaded, since no weight changes."""
        await asyncio.to_thread(self._end, expected)

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """One line for the file, one for the traffic, one for each command that is run."""
        lines = [f"control  {self._path}: {control_words(before)} → {SwitchState(weights=weights, revision='').live}"]
        lines.append(f"traffic  {moves_words(before, weights, self._config.colors)}")
        for name, command in (("validate", self._config.validate), ("reload", self._config.reload)):
            lines += [f"{name}  {shown_command(command)}"] if command else []
        return lines

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """Write beside, move into place, check, reload; also how a missing file is begun."""
        content = self._by_hand(weights).decode()
        lines = [write_command(by_hand_at(self._path, self._known()), content)]
        commands = (self._config.validate, self._config.reload)
        return lines + [from_anywhere(self._base_dir, command) for command in commands if command]

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _observe(self) -> SwitchState:
        content = read_bounded(self._path, MAX_BYTES)
        if content is None:
            return SwitchState(weights={}, revision="", detail=f"{self._path}: no such file")
        return self._in_force(content)

    def _in_force(self, content: bytes) -> SwitchState:
        mark = PendingMark(self._path.resolve())
        remove = ("rm", str(mark.path.absolute()))
        finish = from_anywhere(self._base_dir, self._config.validate, self._config.reload, remove)
        armed = f"ARMED: {self._path} was written, and nobody saw it taken into force\nFinish: {finish}"
        file = self._form.read(content)
        if self._config.reload and armed_by_hand(file):
            then = "any reload puts that in force, where none has yet"
            return replace(file, detail=f"ARMED: {self._path}: {file.detail}; {then}", armed=then)
        return in_force(file, mark.read(), armed)

    def _known(self) -> SwitchState:
        """What the file says; nothing where it can not be read."""
        try:
            return self._form.read(read_bounded(self._path, MAX_BYTES) or b"")
        except BackendError:
            return SwitchState(weights={}, revision="")

    def _by_hand(self, weights: dict[str, int]) -> bytes:
        """What a person would write over the file as it is now: the number of the write goes on."""
        try:
            before = read_bounded(self._path, MAX_BYTES) or b""
            return self._form.write(before, weights, "manual", datetime.now(UTC), self._form.read(before).fence)
        except (BackendError, msgspec.DecodeError, TypeError):  # nothing of it can be kept
            return self._form.write(b"", weights, "manual", datetime.now(UTC))

    def _as_expected(self, path: Path, expected: SwitchState) -> tuple[bytes, SwitchState]:
        before = read_bounded(path, MAX_BYTES)
        found = self._in_force(before) if before is not None else None
        if before is None or found is None or not expected.goes_over(found):
            why = first_line(found.detail) if found else "no such file"
            raise BackendError("conflict", f"{self._path}: {why}: not written over")
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            said = found.edited or f"it says {shares_words(found.weights)}, stamp {found.stamp or 'none'}"
            raise BackendError("conflict", f"{self._path}: {said}: changed")
        return before, found

    def _end(self, expected: SwitchState) -> None:
        path = self._path.resolve()
        with locked(path):
            before, found = self._as_expected(path, expected)
            if not (found.ended or found.armed):
                replace_file(path, self._form.mark_ended(before), of=before, back=True)

    def _shift(
        self, expected: SwitchState, weights: dict[str, int], stamp: str, fence: int, journal: str
    ) -> SwitchState:
        path = self._path.resolve()  # a symbolic link stays one
        with locked(path):
            with nothing_sent():
                before, found = self._as_expected(path, expected)
            refuse_older_fence(str(self._path), found, stamp, fence, journal)
            try:
                content = self._form.write(before, weights, stamp, datetime.now(UTC), fence, journal)
            except ValueError as error:
                raise BackendError("config", f"{self._path}: {error}", fix="flip all traffic at once") from None
            self._write(path, content, before, found, back=expected.over)
            after = read_bounded(path, MAX_BYTES)
        if after != content:
            raise BackendError("conflict", f"{self._path}: somebody wrote it in the same moment, without the lock")
        return self._form.read(content)

    def _write(self, path: Path, content: bytes, before: bytes, found: SwitchState, *, back: bool) -> None:
        """The file, and its commands under a mark that outlives this process. A way back from what was not in force
        stays in the file, whatever fails: the one before would move the traffic forward with the next reload."""
        if not (self._config.validate or self._config.reload):
            replace_file(path, content, of=before, back=back)
            return
        mark, written, old = PendingMark(path), self._form.read(content), self._form.read(before).revision
        earlier = mark.read()
        earlier = earlier if earlier is not None and old in earlier.revisions else None
        pending = between(found, written, *([old] if earlier else []))
        mark.write(pending, back=back)
        replace_file(path, content, of=before, back=back)
        if problem := self._run(self._config.validate):
            self._put_back(path, content, before, mark, f"validate: {problem}")
            mark.write(earlier, back=back)
            in_force = not self._config.reload  # nothing has to take it over: users were sent there meanwhile
            raise BackendError("failed", f"validate: {problem}; {_BACK}", fix=_BY_HAND, taken_back=in_force)
        if problem := self._run(self._config.reload):
            # A file that says one color while the proxy runs the other goes off at the next reload, whoever does it.
            again = from_anywhere(self._base_dir, self._config.reload)
            if back and earlier:
                message = f"reload: {problem}; ARMED: {path} is as it was ordered, and nobody knows what runs"
                raise BackendError("unreachable", message, fix=f"see what runs, then {again}")
            mark.write(between(found, written, old), back=back)
            self._put_back(path, content, before, mark, f"reload: {problem}")
            if self._run(self._config.reload) and problem.may_have_worked:
                message = f"reload: {problem}; ARMED: {_BACK}, and nobody knows which one runs"
                raise BackendError("unreachable", message, fix=f"see what runs, then {again}")
            mark.write(earlier, back=back)
            words = f"reload: {problem}; {_BACK}"
            raise BackendError("failed", words, fix=_BY_HAND, taken_back=problem.has_begun)
        mark.write(None)

    def _put_back(self, path: Path, content: bytes, before: bytes, mark: PendingMark, problem: str) -> None:
        """The old file, where the new one still stands: what somebody else wrote there meanwhile stays."""
        try:
            replace_file(path, before, of=content, back=True)
        except BackendError as error:
            if error.kind == "conflict":
                mark.write(None)
                raise BackendError("conflict", f"{problem}; {error.message}: that stays", fix=error.fix) from None
            message = f"{problem}; putting the old file back failed too: {error.message}"
            raise BackendError("unreachable", message, fix=error.fix) from None

    def _run(self, command: tuple[str, ...]) -> Problem:
        return run_command(command, self._base_dir, self._config.env) if command else Problem()

    async def _control(self) -> SwitchState:
        try:
            return await self.observe()
        except BackendError as error:
            return SwitchState(weights={}, revision="", detail=error.message)
