"""Any monitoring plugin: its exit status, the first line of its text, its perfdata.

```toml
[[contexts.production.checks]]
name = "disk"
type = "command"
command = ["/usr/lib/nagios/plugins/check_disk", "-w", "10%", "-c", "5%", "-p", "/"]
timeout = "8s"
env = ["SNMP_COMMUNITY"]                # variables that it gets besides PATH, HOME, LANG, LC_*, TZ and TEAL_*
```
No shell, no stdin, in the directory of the config. The exit status decides (0 ok, 1 warning, 2 critical), whatever the
text says; any other one, and a signal, is unknown. Source: https://www.monitoring-plugins.org/doc/guidelines.html.
"""

import asyncio
import math
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from backends.environment import Variable, command_environment
from backends.errors import BackendError
from backends.models import CheckResult, Health, PerfDatum
from backends.ownership import Unsafe, refuse_unsafe_command
from backends.redaction import redacted
from backends.registry import AdapterContext
from backends.settings import CommandResult, Duration, run_quietly
from backends.text import clean

STATES: dict[int, Health] = {0: "ok", 1: "warning", 2: "critical"}
READ_BYTES = 64 * 1024
MAX_DATA = 200
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DATUM = r"(?<!\S)(?:'((?:[^']|''){1,128}+)'|([^\s'=]{1,128}+))=(\S{1,256})"
_VALUE = rf"(?:U|({_NUMBER}))([^\d;'\s]*)"


class CommandCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A monitoring plugin.

    command: program and arguments, without a shell, run in the directory of the config.
    timeout: one that has not ended by then is ended with its process group, and nobody knows.
    env: names of variables that it gets besides.
    """

    command: Annotated[tuple[str, ...], Meta(min_length=1)]
    timeout: Duration = Duration(8)
    env: tuple[Variable, ...] = ()

    def __post_init__(self) -> None:
        if not self.command[0].strip():
            raise ValueError("command: it is empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class CommandCheck:
    """`Check` by the end of a command."""

    api = 1
    Config = CommandCheckConfig

    def __init__(self, config: CommandCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._directory = context.base_dir
        self._program = clean(Path(config.command[0]).name, 128)

    async def run(self) -> CheckResult:
        """Run it once. Raises BackendError: `timeout`, and `config` where it can not, or may not, be started."""
        began = time.monotonic()
        ran = await self._ran()
        seconds = time.monotonic() - began
        first, _, further = _text(ran.output).partition("\n")
        words, _, data = first.partition("|")
        said = clean(words, 1000).strip() or _first_line(ran.complaint) or "no output"
        if ran.status not in STATES:
            how = f"signal {-ran.status}" if ran.status < 0 else f"exit status {ran.status}"
            said = said if ran.status == 3 else f"{self._program}: {how}: {said}"
        return CheckResult(
            ref=self._name,
            name=self._name,
            state=STATES.get(ran.status, "unknown"),
            message=said,
            latency_ms=seconds * 1000,
            perfdata=tuple(islice(perfdata(f"{data} {further.partition('|')[2]}"), MAX_DATA)),
        )

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def _ran(self) -> CommandResult:
        command, timeout = self._config.command, self._config.timeout
        try:
            await asyncio.to_thread(refuse_unsafe_command, command, self._directory)
            return await run_quietly(
                command, timeout_s=timeout, cwd=self._directory, env=command_environment(self._config.env),
                keep_stderr=True,
            )  # fmt: skip
        except TimeoutError:
            raise BackendError("timeout", f"{self._program}: no end in {timeout}, ended") from None
        except Unsafe as unsafe:
            raise BackendError("config", unsafe.words, fix=unsafe.fix) from None
        except (OSError, ValueError) as error:
            words = f"{self._program}: {getattr(error, 'strerror', None) or error}"
            raise BackendError("config", words, fix="install it, or correct `command`") from None


def perfdata(text: str) -> Iterator[PerfDatum]:
    """Each `'label'=value[UOM];[warn];[crit];[min];[max]` of `text`; what is none is left out."""
    for quoted_label, label, rest in re.findall(_DATUM, text):
        value, *limits = rest.split(";")
        match = re.fullmatch(_VALUE, value)
        name = clean(quoted_label.replace("''", "'") or label).strip()
        if match is None or not name:
            continue
        warn, crit, least, most = (*limits, "", "", "", "")[:4]
        yield PerfDatum(
            label=name,
            value=_finite(match[1]),
            unit=clean(match[2], 16),
            warn=clean(warn, 64),
            crit=clean(crit, 64),
            min=_finite(least),
            max=_finite(most),
        )


def _finite(text: str | None) -> float | None:
    if not text or not re.fullmatch(_NUMBER, text):
        return None
    value = float(text)
    return value if math.isfinite(value) else None


def _text(written: bytes) -> str:
    """The beginning of it. Where it is cut, the last word goes: it may be half of a secret."""
    kept = written if len(written) <= READ_BYTES else b"".join(written[:READ_BYTES].rsplit(None, 1)[:-1])
    return redacted(kept.decode("utf-8", "replace"))


def _first_line(complaint: bytes) -> str:
    lines = _text(complaint).strip().splitlines()
    return clean(lines[0], 1000) if lines else ""
