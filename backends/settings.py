"""The two value types of a config that need more than TOML: secrets (references only) and durations."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backends.environment import withhold, without_secrets
from backends.errors import BackendError
from backends.files import read_regular
from backends.flight import Flights
from backends.literals import secret_in_url
from backends.ownership import Unsafe, refuse_unsafe, refuse_unsafe_command
from backends.paths import path_problem
from backends.pipes import output
from backends.redaction import learn, learn_address
from backends.text import clean

SECRET_COMMAND_TIMEOUT_S = 10.0
LONGEST_S = 100 * 365 * 86400.0
"""What no calendar has is no duration."""
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")

_commands = Flights()


class SecretError(BackendError):
    """A reference that leads nowhere; the message names the reference, never a value."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__("config", message, fix=fix or "set it, or correct the reference in the config")


class Secret(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a secret is, never what it is: exactly one of the three.

    env: the environment variable that holds it.
    file: the file that holds it, relative to the config.
    command: the command that prints it, without a shell; it gets no stdin and 10 s.
    """

    env: str | None = None
    file: str | None = None
    command: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if sum(way is not None for way in (self.env, self.file, self.command)) != 1:
            raise ValueError('a secret is one of { env = "…" }, { file = "…" }, { command = ["…"] }')
        if not (self.env or self.file or self.command):
            raise ValueError("a secret reference is empty")
        if self.env:
            withhold([self.env])
        if self.env:  # whoever echoes it (a command, a driver) may do so before it is resolved
            _keep_secret(os.environ.get(self.env))

    def __str__(self) -> str:
        if self.env is not None:
            return f"env {self.env}"
        return f"file {self.file}" if self.file is not None else f"command {(self.command or ('',))[0]}"

    async def resolve(self, base_dir: Path | None = None) -> str:
        """The value, without its trailing newline; no message says it from then on. A command gets no stdin and 10 s,
        and runs once for all who ask at the same time. Raises SecretError, also for an empty value, and for a file or
        a command that others could change (`ownership`).

        A relative file starts at `base_dir`, the directory of the config; a command runs there.
        """
        if self.command is None:
            return await asyncio.to_thread(self.read, base_dir) if self.file else self.read(base_dir)
        # Many a command keeps its token in a file: two at once, and one reads what the other has just truncated.
        value = await _commands((self.command, base_dir), lambda: self._run(base_dir))
        _keep_secret(value)
        return value

    def read(self, base_dir: Path | None = None) -> str:
        """As `resolve`, at once, for a variable or a file. Raises SecretError."""
        value = self._read_file(base_dir or Path(), self.file) if self.file else os.environ.get(self.env or "")
        if value is None:
            raise SecretError(f"environment variable {self.env} is not set")
        if not value.strip():
            raise SecretError(
                f"secret file {self.file} is empty" if self.file else f"environment variable {self.env} is empty"
            )
        _keep_secret(value)
        return value

    def _read_file(self, base_dir: Path, file: str) -> str:
        if problem := path_problem(file):
            raise SecretError(f"secret file {clean(file, 200)}: {problem[0]}", problem[1])
        path = base_dir / Path(file).expanduser()
        try:
            refuse_unsafe(path)
            return read_regular(path).decode("utf-8").rstrip("\r\n")
        except Unsafe as unsafe:
            raise SecretError(f"secret file {unsafe.words}", unsafe.fix) from None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise SecretError(f"secret file {file}: {why}") from None

    async def _run(self, base_dir: Path | None) -> str:
        command = self.command or ()
        try:
            await asyncio.to_thread(refuse_unsafe_command, command, base_dir or Path())
            ran = await run_quietly(command, cwd=base_dir, timeout_s=SECRET_COMMAND_TIMEOUT_S)
        except TimeoutError:
            raise SecretError(f"secret command {command[0]}: no answer in {SECRET_COMMAND_TIMEOUT_S:.0f} s") from None
        except Unsafe as unsafe:
            raise SecretError(f"secret command {unsafe.words}", unsafe.fix) from None
        except OSError as error:
            raise SecretError(f"secret command {command[0]}: {error.strerror}") from None
        if ran.status != 0:
            raise SecretError(f"secret command {command[0]}: exit status {ran.status}")
        value = ran.output.decode("utf-8", "replace").rstrip("\r\n")
        if not value.strip():
            raise SecretError(
                f"secret command {command[0]} printed nothing", "run it by hand: it must print the secret"
            )
        return value


def _keep_secret(value: str | None) -> None:
    learn(value)
    learn_address(value)


class CommandResult(msgspec.Struct, frozen=True):
    """A command that has ended: its exit status, what it wrote to stdout, and to stderr where that was asked for."""

    status: int
    output: bytes
    complaint: bytes = b""


async def run_quietly(
    command: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    keep_stderr: bool = False,
) -> CommandResult:
    """Without stdin and away from the terminal; its process group is ended where it takes too long or is cancelled.

    It has ended when its process has, whoever holds its output open.
    Without `env` it inherits what is here, but the variables that the config references as secrets.
    Raises TimeoutError and OSError.
    """
    async with output() as said, output() as complained:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=said.end,
                stderr=complained.end if keep_stderr else asyncio.subprocess.DEVNULL,
                cwd=cwd,
                env=without_secrets() if env is None else env,
                start_new_session=True,  # away from the terminal: a prompt would write over the screen
            )
        )
        try:
            # Shielded: what is cancelled while it starts has children already, and only its group ends those.
            process = await asyncio.shield(starting)
            said.started()
            complained.started()
            async with asyncio.timeout(timeout_s):
                await process.wait()
            return CommandResult(process.returncode or 0, await said.whole(), await complained.whole())
        finally:
            await _end_group(starting)


async def _end_group(starting: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    """End what still runs, out of time or cancelled: its children hold the pipe, too."""
    with contextlib.suppress(OSError):
        process = await starting
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def reveal(value: str | Secret, base_dir: Path | None = None) -> str:
    """A plain value as it is, a reference resolved (`Secret.resolve`). Raises SecretError."""
    return await value.resolve(base_dir) if isinstance(value, Secret) else value


class Duration(float):
    """Seconds, written as `90s`, `1h30m` or `250ms` in a config."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Raises ValueError with the form that is expected."""
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(text))
        if not text.strip() or _DURATION.sub("", text.strip()):
            raise ValueError(f'"{text}" is not a duration: write it like "90s", "10m", "1h30m"')
        if not seconds <= LONGEST_S:
            raise ValueError(f'"{text[:40]}" is no duration of at most 100 years')
        return cls(seconds)

    def __str__(self) -> str:
        rest, words = float(self), []
        if rest and rest < 1:
            return f"{rest * 1000:g}ms"
        for unit in ("d", "h", "m"):
            count = int(rest // _UNITS[unit])
            rest -= count * _UNITS[unit]
            if count:
                words.append(f"{count}{unit}")
        if rest or not words:
            words.append(f"{rest:g}s")
        return "".join(words)


def refuse_password_in_url(value: str) -> str:
    """`value` as it is; ValueError where it is a URL with a password or a token inside."""
    if words := secret_in_url(value):
        raise ValueError(f'{words}: use a reference, e.g. {{ env = "WAREHOUSE_URL" }}')
    return value


def decode_hook(kind: type, value: Any) -> Any:
    """The `dec_hook` of every msgspec decoding of a config: durations from their text."""
    if kind is Duration:
        if isinstance(value, str):
            return Duration.parse(value)
        raise ValueError(f'expected a duration like "10s", got {value!r}')
    raise NotImplementedError(kind)


def encode_hook(value: Any) -> Any:
    """The `enc_hook` of every msgspec encoding of a config: durations as text."""
    if isinstance(value, Duration):
        return str(value)
    raise NotImplementedError(type(value))
