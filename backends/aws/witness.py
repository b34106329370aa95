"""What is seen of AWS while something asks it: which sessions asked, how far AWS' clock is off, and which rights were
refused, also where an adapter goes on without them.

```python
with witnessed(Witness()) as seen:
    await check.run()
seen.missing                                      # ["cloudwatch:GetMetricData"]
```
It is seen by the events of botocore, in whichever thread a call runs: `DaemonThreads` keep the context.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import ContextVar
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct, field

from backends.aws.errors import refused_right


class Callers:
    """Who calls, asked once for each way to reach AWS, by whichever session wants to know first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[Any, Future[Any]] = {}

    def of(self, way: Any, ask: Callable[[], Any]) -> Any:
        """What `ask` returned or raised, here or in the thread of another one. It blocks."""
        with self._lock:
            is_first = way not in self._asked
            asked = self._asked.setdefault(way, Future())
        if is_first:
            try:
                asked.set_result(ask())
            except BaseException as error:
                asked.set_exception(error)
        return asked.result()

    def known(self, way: Any) -> Any:
        """None where it is not known."""
        asked = self._asked.get(way)
        return asked.result() if asked is not None and asked.done() and asked.exception() is None else None


class Witness(Struct, eq=False):
    """What was seen. `skews`: seconds that AWS' clock is ahead of this host's, one an answer; `missing`: rights by the
    names that policies call them; `sessions`: each `AwsSession` that asked, in order; `callers`: shared
    by all that are asked for once."""

    skews: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    sessions: list[Any] = field(default_factory=list)
    callers: Callers = field(default_factory=Callers)

    def meet(self, session: object) -> None:
        """It asks."""
        if session not in self.sessions:
            self.sessions.append(session)


class Look(Struct, frozen=True):
    """A read that an adapter makes at times and that changes nothing: `service` and `operation` as boto3 calls them."""

    service: str
    operation: str
    request: dict[str, Any] = {}


_seeing: ContextVar[Witness | None] = ContextVar("_seeing", default=None)


def witness_here() -> Witness | None:
    """The one that sees what is asked now."""
    return _seeing.get()


@contextlib.contextmanager
def witnessed(witness: Witness) -> Iterator[Witness]:
    """All that is asked inside is seen by `witness`."""
    token = _seeing.set(witness)
    try:
        yield witness
    finally:
        _seeing.reset(token)


def show_to_witnesses(client: Any, session: object) -> None:
    """From now on, what `client` asks is seen."""

    def asks(context: dict[str, Any], **_: Any) -> None:
        witness = _seeing.get()
        if witness is not None:
            context["tealdeck_asked_at"] = time.time()
            witness.meet(session)

    def answered(parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        witness = _seeing.get()
        if witness is None:
            return
        skew = _skew(parsed.get("ResponseMetadata", {}), context.get("tealdeck_asked_at"), time.time())
        if skew is not None:
            witness.skews.append(skew)
        right = refused_right(parsed, model.service_model.service_name, model.name)
        if right and right not in witness.missing:
            witness.missing.append(right)

    client.meta.events.register("before-call", asks)
    client.meta.events.register("after-call", answered)


def _skew(told: dict[str, Any], asked_at: float | None, heard_at: float) -> float | None:
    """`Date` has whole seconds. When one of several attempts was answered is not known."""
    if asked_at is None or told.get("RetryAttempts"):
        return None
    try:
        at = parsedate_to_datetime(str(told.get("HTTPHeaders", {}).get("date", "")))
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp() + 0.5 - (asked_at + heard_at) / 2
