"""nginx: an include with the upstream of the live color, or the shares of both, checked, reloaded and proven.

```toml
[[contexts.production.deployments]]
name = "analytics"
type = "nginx"
include = "/etc/nginx/teal/analytics.conf"      # `include /etc/nginx/teal/*.conf;` in nginx's http { }
upstream = "analytics"                          # `proxy_pass http://analytics;`
servers = { blue = ["10.0.0.1:8000"], green = ["10.0.0.2:8000"] }
stamp_url = "http://127.0.0.1:8099/__color"     # the include listens there and says what runs
# mode = "split_clients"                        # shares; then `proxy_pass http://$analytics_upstream;`
```
"""

import asyncio
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from backends.deployments.command_deployer import command_deployer
from backends.deployments.common import DeploymentConfig, colors_problem
from backends.deployments.file_store import (
    by_hand_at,
    copy_command,
    from_anywhere,
    keep_beside,
    link_words,
    locked_beside,
    read_bounded,
    replace_file,
    write_command,
)
from backends.deployments.nginx.edits import as_written, same_servers
from backends.deployments.nginx.force import WITHOUT_MASTER, Force
from backends.deployments.nginx.include import Include, Mode, Running, include_problem, running
from backends.deployments.sides import UrlSides, control_words, moves_words, reload_words, shares_words
from backends.deployments.switch_format import (
    MAX_BYTES,
    StampedForm,
    armed_by_hand,
    check_weights,
    edit_finding,
    percent,
    refuse_older_fence,
    revision_of,
)
from backends.errors import BackendError, nothing_sent
from backends.literals import shown_command
from backends.models import ColorState, Deployment, Finding, TruthLayer
from backends.paths import path_of
from backends.ports import Deployer, RequestCounts, SwitchState
from backends.registry import AdapterContext
from backends.text import first_line


class NginxConfig(DeploymentConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An include of the nginx on this host.

    include: the file that is written; nginx has to include it in `http { }`.
    upstream: the name that `proxy_pass` uses.
    servers: what nginx writes after `server`, by color.
    stamp_url: where the include listens, and says what the process that runs has read.
    mode: `upstream`: all or nothing; `split_clients`: shares.
    split_key: what a client is told by in `split_clients`.
    options: more lines of each upstream, as `keepalive 16`.
    validate: run before a reload; puts the old file back where it fails.
    reload: makes nginx read the file.
    pid_file: proves that old workers take no new connections.
    """

    include: str
    upstream: str
    servers: dict[str, tuple[str, ...]]
    stamp_url: str
    mode: Mode = "upstream"
    split_key: str = "$request_id"
    options: tuple[str, ...] = ()
    validate: tuple[str, ...] = ("nginx", "-t")
    reload: tuple[str, ...] = ("nginx", "-s", "reload")
    pid_file: str = ""

    def __post_init__(self) -> None:
        if len(self.servers) < 2 or not all(self.servers.values()):
            raise ValueError("servers: at least one for each of two colors")
        if problem := colors_problem(self.health, self.servers, "servers"):
            raise ValueError(problem)
        if not (self.validate and self.reload):
            raise ValueError("validate and reload: neither may be empty")
        if problem := include_problem(self.made()):
            raise ValueError(problem)

    @property
    def colors(self) -> tuple[str, ...]:
        """As the servers are grouped."""
        return tuple(self.servers)

    def writes(self, base_dir: Path) -> frozenset[str]:
        """The include, by its true name."""
        return frozenset({f"file {path_of(self.include, base_dir).resolve()}"})

    def made(self) -> Include:
        """What the file is made from."""
        return Include(
            upstream=self.upstream, servers=self.servers, mode=self.mode, split_key=self.split_key,
            options=self.options, stamp_url=self.stamp_url,
        )  # fmt: skip


class NginxSwitch:
    """The `Switch` of one upstream of the nginx on this host."""

    api = 1
    Config = NginxConfig

    def __init__(self, config: NginxConfig, context: AdapterContext) -> None:
        self._config = config
        self._service = context.name
        self._base_dir = context.base_dir
        self._path = path_of(config.include, context.base_dir)
        self._form = StampedForm(config.colors, "#", config.made().body, as_written, same_servers)
        self._force = Force(
            self._path, self._form, colors=config.colors, stamp_url=config.stamp_url,
            pid_file=path_of(config.pid_file, context.base_dir) if config.pid_file else None,
            validate=config.validate, reload=config.reload, base_dir=context.base_dir, env=config.env,
        )  # fmt: skip
        self._sides = UrlSides(config, context.http)
        self._deployer = command_deployer(config, context, health=self.color_health, observe=self.observe)

    @property
    def object_id(self) -> str:
        """As the port says."""
        return str(self._path.resolve())

    @property
    def can_split(self) -> bool:
        """In mode `split_clients`."""
        return self._config.mode == "split_clients"

    @property
    def write_settles_s(self) -> float:
        """0: the file is written by this process or not at all, and one that waits for its reload shows as ARMED."""
        return 0.0

    @property
    def deployer(self) -> Deployer | None:
        """The commands `deploy` and `retire`, where the config has them: a proxy puts no version anywhere."""
        return self._deployer

    async def deployment(self) -> Deployment:
        """File and process, both sides and one fresh request, side by side. Never raises."""
        try:
            control = await self.observe()
        except BackendError as error:
            control = SwitchState(weights={}, revision="", detail=error.message)
        found = await self._sides.deployment(self._service, control)
        gone = await asyncio.to_thread(self._force.gone_master)
        return replace(found, stuck=f"{gone}; {WITHOUT_MASTER}") if gone else found

    async def observe(self) -> SwitchState:
        """The file and what nginx runs, now. Where they differ it is `armed`, and `runs` is what nginx runs. Raises
        BackendError where either can not be read."""
        content = await asyncio.to_thread(read_bounded, self._path, MAX_BYTES)
        if content is None:
            missing = SwitchState(weights={}, revision="", detail=f"{self._path}: no such file")
            return await self._sides.anew(missing, "begin it", lambda weights: self.manual_commands(weights)[:1])
        runs = await running(self._config.stamp_url, self._config.colors)
        found = await asyncio.to_thread(self._both, content, runs)
        if found.weights:
            return found
        found = replace(found, detail=found.detail + link_words(self._path, self._form.read(content)))
        runs_on = "" if armed_by_hand(found) else SwitchState(weights=runs.shares, revision="").live
        return await self._sides.anew(
            found, "write it anew", lambda weights: self.manual_commands(weights)[:-1], runs_on
        )

    async def endpoints(self) -> TruthLayer:
        """The sides that nginx sends traffic to, each asked at its own health URL. Raises BackendError."""
        return await self._sides.endpoints(await self.observe())

    async def color_health(self, color: str) -> ColorState:
        """`color` at its own health URL. Never raises."""
        return await self._sides.health(color)

    async def request_counts(self) -> RequestCounts:
        """As the sides' own expositions count them: nginx counts by no upstream."""
        return await self._sides.request_counts()

    async def preflight(self, expected: SwitchState, weights: dict[str, int]) -> list[Finding]:
        """Whether nginx takes its configuration as it is now, before anything is changed; ARMED; rights.

        Raises BackendError: `auth` where the file can not be replaced, `config` for a split that can not be written.
        """
        found = await self.observe()
        if not expected.goes_over(found):
            return [
                Finding(level="block", code="nginx-include", text=first_line(found.detail), fix="put it right by hand")
            ]
        self._written(b"", weights, "preflight:preflight", 0, "")
        directory = self._path.resolve().parent
        if not os.access(directory, os.W_OK):
            raise BackendError("auth", f"{directory}: not writable", fix="let this user write the include's directory")
        edits = [edit_finding(self._path, found)] if found.edited else []
        if gone := await asyncio.to_thread(self._force.gone_master):
            level: Literal["block", "warning"] = "warning" if expected.over else "block"
            edits.append(Finding(level=level, code="nginx-master", text=gone, fix=WITHOUT_MASTER, overridable=True))
        problem = await self._force.run(self._config.validate)
        if problem:
            text = f"nginx refuses its configuration as it is, before any change: {problem}"
            # It may be the edit: whether it takes ours is asked before a reload. A file that leads to where nginx is
            # already need not be read.
            if expected.over and (found.edited or found.served == self._full(weights)):
                return [*edits, Finding(level="warning", code="nginx-config", text=text)]
            return [*edits, Finding(level="block", code="nginx-config", text=text, fix="correct it, then plan anew")]
        if found.weights and found.armed:
            fix = "reload, or restore the file"
            return [*edits, Finding(level="warning", code="nginx-armed", text=first_line(found.detail), fix=fix)]
        proves = f", and {self._config.stamp_url} proves {found.live.upper()}" if found.weights else ""
        return [*edits, Finding(level="ok", code="nginx-config", text=f"nginx takes its configuration{proves}")]

    async def shift(
        self, expected: SwitchState, weights: dict[str, int], *, stamp: str, fence: int = 0, journal: str = ""
    ) -> SwitchState:
        """Compare and write under a lock, check, reload, and wait until what runs says so.

        Raises BackendError: `conflict` where file or process are not `expected`, `config` for weights that can not
        be, `failed` for a file or a reload that nginx refuses, `auth`, `timeout` and `unreachable`. The old file is
        back in place then, and nginx was told to read it again; where that failed the message says ARMED.
        """
        async with locked_beside(self._path):
            with nothing_sent():
                before, found = await self._as_expected(expected)
            refuse_older_fence(str(self._path), found, stamp, fence, journal)
            content = self._written(before, weights, stamp, fence, journal)
            await asyncio.to_thread(self._replace, content, before, expected.over)
            await self._force.apply(content, before, found.served, back=expected.over)
            after = await self.observe()
        if (after.stamp, after.weights) != (stamp, self._full(weights)):
            raise BackendError("conflict", f"{self._path}: somebody wrote it in the same moment, without the lock")
        return after

    async def mark_ended(self, expected: SwitchState) -> None:
        """As `shift`; the file's comment alone is written, which nginx need not read."""
        async with locked_beside(self._path):
            before, found = await self._as_expected(expected)
            if not found.ended:
                await asyncio.to_thread(
                    replace_file, self._path.resolve(), self._form.mark_ended(before), of=before, back=True
                )

    def describe_shift(self, before: SwitchState, weights: dict[str, int]) -> list[str]:
        """One line for the file, one for the traffic, one for each command, one for the proof."""
        config = self._config
        to = SwitchState(weights=weights, revision="").live
        return [
            f"control  {self._path}: {control_words(before)} → {to}",
            f"traffic  {moves_words(before, weights, config.colors)}",
            f"validate  {shown_command(config.validate)}",
            f"reload  {shown_command(config.reload)}",
            f"proof  {config.stamp_url}",
        ]

    def manual_commands(self, weights: dict[str, int]) -> list[str]:
        """Write beside, move into place, check, reload, ask what runs; also how a missing file is begun."""
        try:
            before = read_bounded(self._path, MAX_BYTES) or b""
        except BackendError:
            before = b""
        known = self._form.read(before)
        fence = known.fence
        content = self._form.write(before, self._full(weights), "manual", datetime.now(UTC), fence).decode()
        reload = self._force.reload_line() or from_anywhere(self._base_dir, self._config.reload)
        commands = [from_anywhere(self._base_dir, self._config.validate), reload]
        ask = f"curl -s {shlex.quote(self._config.stamp_url)}"
        return [write_command(by_hand_at(self._path, known), content), *commands, ask]

    async def aclose(self) -> None:
        """Nothing is held open."""

    def _both(self, content: bytes, runs: Running) -> SwitchState:
        file = self._form.read(content)
        revision = revision_of(file.revision.encode() + repr(runs).encode())
        if not file.weights:
            said, armed = f"nginx runs {shares_words(runs.shares)}", ""
            if armed_by_hand(file):  # what it says that it runs is a line of the file, which the edit left as it was
                armed = "any reload puts the edit in force, where none has yet"
                said = f"{shares_words(runs.shares)} was written last, {armed}"
            word = "ARMED: " if armed else ""
            return replace(file, revision=revision, detail=f"{word}{self._path}: {file.detail}; {said}", armed=armed)
        file = replace(file, odd_mark=file.odd_mark or runs.more)
        says = (file.weights, self._form.generation(content), file.stamp)
        if says == (runs.shares, runs.generation, runs.stamp):
            return replace(file, revision=revision)
        by = "its next start" if self._force.gone_master() else "any reload"
        words = (
            f"ARMED: {self._path} says {shares_words(file.weights)} (gen {says[1]}), nginx runs "
            f"{shares_words(runs.shares)} (gen {runs.generation}): {by} completes it\n"
            f"Finish: {self._force.finish()}{self._undo(file, runs)}"
        )
        mean = percent({color: file.weights[color] + runs.shares[color] for color in self._config.colors})
        if runs.generation > says[1]:  # an old file was put back: the newer write is the one that runs
            file = replace(file, stamp=runs.stamp, fence=0, journal="", ended=False)
        return replace(
            file, weights=mean, wrote={}, revision=revision, detail=words, armed=reload_words(file.weights),
            runs=runs.shares,
        )  # fmt: skip

    def _undo(self, file: SwitchState, runs: Running) -> str:
        """The command after which the file says what nginx runs: the one before where it says that, else made anew;
        empty where it can not be made."""
        path = self._path.resolve()
        previous = path.with_name(path.name + ".previous")
        try:
            kept = read_bounded(previous, MAX_BYTES) or b""
        except BackendError:
            kept = b""
        found = self._form.read(kept)
        if (found.weights, self._form.generation(kept), found.stamp) == (runs.shares, runs.generation, runs.stamp):
            return f"\nor undo: {copy_command(previous, path)}"
        try:
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)  # the same words each time that it is read
            made = self._form.write(b"", runs.shares, runs.stamp, at, file.fence, generation=runs.generation)
        except (OSError, ValueError):
            return ""
        live = SwitchState(weights=runs.shares, revision="").live
        return f"\nor undo, back to {live.upper()}, which runs: {write_command(path, made.decode())}"

    async def _as_expected(self, expected: SwitchState) -> tuple[bytes, SwitchState]:
        before = await asyncio.to_thread(read_bounded, self._path, MAX_BYTES)
        if before is None:
            raise BackendError("conflict", f"{self._path}: no such file: not written over")
        found = await asyncio.to_thread(self._both, before, await running(self._config.stamp_url, self._config.colors))
        if not expected.goes_over(found):
            raise BackendError("conflict", f"{first_line(found.detail)}: not written over")
        if (found.weights, found.revision) != (expected.weights, expected.revision):
            said = (
                first_line(found.detail)
                or found.edited
                or f"it says {shares_words(found.weights)}, stamp {found.stamp or 'none'}"
            )
            raise BackendError("conflict", f"{self._path}: {said}: changed")
        return before, found

    def _written(self, before: bytes, weights: dict[str, int], stamp: str, fence: int, journal: str) -> bytes:
        problem = check_weights(weights, self._config.colors)
        if problem:
            fix = "weights in percent, summing to 100"
            raise BackendError("config", f"{self._path}: refused: {problem}", fix=fix)
        try:
            return self._form.write(before, self._full(weights), stamp, datetime.now(UTC), fence, journal)
        except ValueError as error:
            raise BackendError("config", f"{self._path}: {error}", fix="flip all traffic at once") from None

    def _full(self, weights: dict[str, int]) -> dict[str, int]:
        return {color: weights.get(color, 0) for color in self._config.colors}

    def _replace(self, content: bytes, before: bytes, back: bool) -> None:
        path = self._path.resolve()  # a symbolic link stays one
        previous = path.with_name(path.name + ".previous")
        keep_beside(previous, before, back=back, mode=0o600)  # for whoever undoes it by hand
        replace_file(path, content, of=before, back=back)
