"""Calls to the services of one AWS account, from threads of its own: reads that are tried again, writes that are sent
once. All adapters of a process that are given the same access share it, with its clients and the look at who calls.

```python
account = account_of(config.aws, context.base_dir, timeout_s=10)
found = await account.read("elbv2", "describe_rules", RuleArns=[arn])
await account.write("elbv2", "modify_rule", RuleArn=arn, Actions=actions)
```
"""

import asyncio
import contextlib
import random
import shlex
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from backends.aws.access import AwsAccess, AwsSession, Caller
from backends.aws.errors import aws_error, has_ended, no_answer_of, right_of, strange_answers, unknown_call
from backends.errors import BackendError
from backends.models import Finding
from backends.threads import DaemonThreads

LANES, WRITE_LANES = 4, 2
READS = 3  # in all, with jitter between them: botocore's mode "standard"
OPENING_S = 15.0  # for the import of boto3, the credentials and the clients: no time of a service
SENDS = 3  # of a write that AWS did not take because there were too many
SEND_AGAIN_S = 0.4
MAX_PAGES = 50
MAX_EMPTY_PAGES = 10
SETTLES_S = 10.0
"""After how many seconds a write that was not answered takes effect no more: AWS says nothing of it, and its load
balancers give a request up long before."""
T = TypeVar("T")

_known: "weakref.WeakValueDictionary[tuple[AwsAccess, Path, float, int], Account]" = weakref.WeakValueDictionary()
_TOKENS = {"NextMarker": "Marker", "nextToken": "nextToken", "NextToken": "NextToken"}


def account_of(access: AwsAccess, base_dir: Path, *, timeout_s: float, reads: int = READS) -> "Account":
    """The one of this process that is reached so; `reads`: how often a read is tried in all. No I/O, and no import of
    boto3."""
    key = (access, base_dir, timeout_s, reads)
    found = _known.get(key)
    if found is None:
        found = _known[key] = Account(access, base_dir, timeout_s=timeout_s, reads=reads)
    return found


def as_whom(caller: Caller, region: str) -> Finding:
    """Who calls, and where."""
    return Finding(level="ok", code="identity", text=f"as {caller.arn} in account {caller.account}, {region}")


class Account:
    """The services of one account in one region. Nothing is to be closed: threads and connections go with it."""

    def __init__(self, access: AwsAccess, base_dir: Path, *, timeout_s: float, reads: int = READS) -> None:
        self._access = access
        self._base_dir = base_dir
        self._timeout_s = timeout_s
        self._reads = reads
        self.where = f"AWS {access.region}".strip()
        self._threads = DaemonThreads(LANES, "aws")
        self._writers = DaemonThreads(WRITE_LANES, "aws-writes")  # no read that hangs stands before a write
        self._opening = threading.Lock()
        self._keys: dict[str, str] | None = None
        self._session: AwsSession | None = None
        self._clients: dict[tuple[str, int], Any] = {}

    def who_called(self, event: str) -> str:
        """The command that tells who made a call of that name; CloudTrail has it after some minutes."""
        words = [*self._access.command("cloudtrail"), "lookup-events", "--lookup-attributes"]
        return shlex.join([*words, f"AttributeKey=EventName,AttributeValue={event}"])

    async def open(self, *services: str, writes: bool = False) -> None:
        """Make what reads of these services (or `writes`) need, without asking them: whoever takes their time does so
        before. Raises BackendError."""

        def opened() -> None:
            for service in services:
                self._client(service, 1 if writes else self._reads)

        await self._call(opened, grace_s=OPENING_S)

    async def read(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        """One answer, tried again where it may help. `service` and `operation` as boto3 calls them
        (`describe_rules`).

        Raises BackendError: `auth` naming the right that is missing, `config` where this botocore has no such call.
        """
        return await self._call(partial(self._ask, service, operation, self._reads, request))

    async def first(
        self, service: str, operation: str, key: str, make: Callable[[dict[str, Any]], T], /, **request: Any
    ) -> T:
        """What `make` makes of the first page that has something under `key`, which an empty page with a token is not
        the end of; in its thread: of a large one, no time of the event loop. Raises BackendError."""

        def found() -> T:
            token: dict[str, Any] = {}
            for _ in range(MAX_EMPTY_PAGES):
                answer = self._ask(service, operation, self._reads, {**request, **token})
                token = _next(answer)
                if answer.get(key) or not token:
                    break
            return make(answer)

        return await self._call(found)

    async def pages(self, service: str, operation: str, key: str, /, **request: Any) -> list[Any]:
        """What all pages of a read have under `key`. Raises BackendError."""
        found: list[Any] = []
        token: dict[str, Any] = {}
        for _ in range(MAX_PAGES):
            answer = await self.read(service, operation, **request, **token)
            found += answer.get(key, ())
            token = _next(answer)
            if not token:
                return found
        raise BackendError("malformed", f"{self.where}: {operation}: more than {MAX_PAGES} pages")

    async def write(self, service: str, operation: str, /, **request: Any) -> dict[str, Any]:
        """One answer to what is sent once. What AWS refused for too many calls was not taken, and goes again after a
        while of random length.

        Raises BackendError: `timeout` and `unreachable` where nobody knows what came of it, for `SETTLES_S`; others
        are an answer.
        """
        return await self._once(partial(self._ask, service, operation, 1, request))

    async def rest(
        self, service: str, operation: str, request: dict[str, Any], *, answers: frozenset[str], once: bool
    ) -> dict[str, Any]:
        """As `read`, or `once` as `write`; an error whose code is in `answers` is an answer: what it has besides its
        code. Raises BackendError."""
        work = partial(self._ask, service, operation, 1 if once else self._reads, request, answers)
        return await (self._once(work) if once else self._call(work))

    async def _once(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        for sent in range(1, SENDS + 1):
            try:
                return await self._call(work, grace_s=self._timeout_s, threads=self._writers)
            except BackendError as error:
                if error.kind != "rate_limited" or sent == SENDS:
                    if error.kind == "malformed" and error.status is not None and 400 <= error.status < 500:
                        raise BackendError("failed", error.message, fix=error.fix, status=error.status) from None
                    raise
                await asyncio.sleep(SEND_AGAIN_S * 2**sent * random.uniform(0.5, 1.0))
        raise AssertionError

    async def caller(self) -> Caller:
        """Who AWS says we are; asked once. Raises BackendError."""
        return await self._call(lambda: self._opened().caller())

    async def identity(self) -> Finding:
        """As whom, and where. Raises BackendError."""
        return as_whom(await self.caller(), await self.region())

    async def region(self) -> str:
        """The region of the config, or the one that boto3 found. Raises BackendError."""
        return await self._call(lambda: self._opened().region)

    async def lifetime(self, needed_s: float) -> list[Finding]:
        """Whether the credentials last for `needed_s`: what ends before and can not be renewed forbids a way forward.
        Raises BackendError."""
        ends = await self._call(lambda: self._opened().ends_before(needed_s))
        needed = f"{needed_s / 60:.0f} min"
        if self._keys and self._access.session_token is not None:
            text = f"the keys are temporary (session_token), and nobody knows whether they last for {needed}"
            return [Finding(level="warning", code="credentials-end", text=text, fix="see when they end; or a role_arn")]
        if ends is None:
            return []
        text = f"{ends.what}: ends before {needed} are over, and nothing renews it"
        return [Finding(level="block", code="credentials-end", text=text, fix=ends.fix, overridable=True)]

    async def resolve(self) -> None:
        """Have the keys: nothing is asked of AWS. Raises SecretError."""
        if self._keys is None:
            self._keys = await self._access.keys(self._base_dir)

    @contextlib.contextmanager
    def lent(self, service: str, attempts: int = 0, *, where: str = "") -> Iterator[Any]:
        """A client, in a thread of the caller's own and after `resolve`, for what is more than one answer: pages as
        they come, a body. `attempts` of each call, by default as many as of a read. What goes wrong inside is raised as
        a BackendError that begins with `where`."""
        import botocore.exceptions as boto

        where = where or self.where
        try:
            yield self._client(service, attempts or self._reads)
        except BackendError as error:
            self._forget_after(error)
            raise
        except (boto.BotoCoreError, boto.ClientError, RuntimeError) as error:
            failed = aws_error(error, where, service=service, profile=self._access.profile)
            self._forget_after(failed)
            raise failed from None
        except strange_answers() as error:
            raise no_answer_of(service, where, error) from None

    async def _call(self, work: Callable[[], T], grace_s: float = 0.0, threads: DaemonThreads | None = None) -> T:
        """`work` in a thread. Where the credentials have ended, they are had anew and it is done once more: what was
        refused for them was not taken."""
        try:
            return await self._called(work, grace_s, threads)
        except BackendError as error:
            if not has_ended(error):
                raise
            return await self._called(work, grace_s, threads)

    async def _called(self, work: Callable[[], T], grace_s: float, threads: DaemonThreads | None) -> T:
        await self.resolve()
        within_s = self._timeout_s + grace_s
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.wrap_future((threads or self._threads).submit(partial(self._guarded, work)))
        except TimeoutError:
            raise BackendError("timeout", f"{self.where}: no answer in {within_s:g} s") from None

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except BackendError as error:
            self._forget_after(error)
            raise

    def _forget_after(self, error: BackendError) -> None:
        """A key that was rotated is resolved anew."""
        if error.kind == "auth" and " no right " not in error.message:
            with self._opening:
                self._keys, self._session, self._clients = None, None, {}

    def _opened(self) -> AwsSession:
        with self._opening:
            if self._session is None:
                self._session = AwsSession(self._access, self._keys or {}, timeout_s=self._timeout_s)
            return self._session

    def _client(self, service: str, attempts: int) -> Any:
        session = self._opened()
        with self._opening:
            key = (service, attempts)
            if key not in self._clients:
                self._clients[key] = session.client(service, attempts=attempts)
            return self._clients[key]

    def _ask(
        self, service: str, operation: str, attempts: int, request: dict[str, Any],
        answers: frozenset[str] = frozenset(),
    ) -> dict[str, Any]:  # fmt: skip
        import botocore.exceptions as boto

        with self.lent(service, attempts) as client:
            call = getattr(client, operation, None)
            if call is None:
                raise unknown_call(self.where, right_of(service, operation))
            try:
                answer: dict[str, Any] = call(**request)
            except boto.ClientError as error:
                if error.response.get("Error", {}).get("Code") not in answers:
                    raise
                return dict(error.response)
            return answer


def _next(answer: dict[str, Any]) -> dict[str, Any]:
    """What is asked with for the page behind an answer; nothing behind the last one."""
    return {asked: answer[told] for told, asked in _TOKENS.items() if answer.get(told)}
