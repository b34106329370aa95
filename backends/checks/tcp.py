"""A health check by a TCP connection: does anybody accept it, and how fast.

```toml
[[contexts.production.checks]]
name = "warehouse"
type = "tcp"
host = "warehouse.internal"
port = 5432
warn = "100ms"
crit = "1s"
timeout = "3s"
```
"""

import asyncio
import contextlib

from msgspec import Struct

from backends.checks.latency import LatencyLimits, judge_latency
from backends.credentials import plain_host
from backends.http import connection_words
from backends.models import CheckResult
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.stopwatch import timed
from backends.text import clean


class TcpCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to connect to.

    host: a name or an address.
    port: its TCP port.
    warn: a connection that takes longer, names resolved, is a warning.
    crit: one that takes longer is critical.
    timeout: no connection within this is critical.
    """

    host: str
    port: int
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(3)

    def __post_init__(self) -> None:
        plain_host("host", self.host)
        if not 1 <= self.port <= 65535:
            raise ValueError("port: 1 to 65535")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        LatencyLimits(self.warn, self.crit)


class TcpCheck:
    """`Check` by a TCP connection, closed at once."""

    api = 1
    Config = TcpCheckConfig

    def __init__(self, config: TcpCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._limits = LatencyLimits(config.warn, config.crit)
        self._host = plain_host("host", config.host)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._where = clean(f"{host}:{config.port}", 300)

    async def run(self) -> CheckResult:
        """Look once. Whatever keeps the connection from standing is critical."""
        try:
            async with timed(self._config.timeout) as watch:
                _, writer = await asyncio.open_connection(self._host, self._config.port)
                took = watch.took()
        except TimeoutError:
            return self._critical(f"no connection in {self._config.timeout}")
        except (OSError, UnicodeError) as error:  # a name that no encoding of host names takes
            return self._critical(connection_words(error))
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
        state, words, perfdata = judge_latency(took.seconds, self._limits, late_s=took.late_s)
        return CheckResult(
            ref=self._name,
            name=self._name,
            state=state,
            message=f"connected in {words}",
            latency_ms=took.seconds * 1000,
            perfdata=(perfdata,),
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def _critical(self, words: str) -> CheckResult:
        return CheckResult(ref=self._name, name=self._name, state="critical", message=f"{self._where}: {words}")
