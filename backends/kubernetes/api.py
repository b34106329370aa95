"""The Kubernetes API of one cluster, for every adapter that needs it: raw JSON over HTTP, identity, errors in words.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

# httpx rather than the REST layer of the `kubernetes` package: a read or the follow of a log can be cancelled, nothing
# needs a thread, and neither models (1.4 s, 140 MB) nor a second HTTP library are loaded.

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from backends.errors import BackendError
from backends.flight import Flight
from backends.http import READ_TIMEOUT_S, Answer, Http, refusal
from backends.kubernetes.identity import Identity, identify, tls_context
from backends.kubernetes.kubeconfig import Access, load_access
from backends.retrying import retried
from backends.text import clean

T = TypeVar("T")

JSON_PATCH = "application/json-patch+json"
FIELD_MANAGER = "tealdeck"
WRITE_BOUND_S = 8.0
"""The API server gives a write up after this (`?timeout=`): it cannot be applied later."""
WRITE_TIMEOUT_S = WRITE_BOUND_S + 1.0
MAX_WAIT_S = 2.0
_RIGHTS_FIX = "grant that verb to this user by a Role and a RoleBinding, or use another `kube_context`"
_SIGN_IN_FIX = "sign in again, or renew the credentials of this user in the kubeconfig"


class Status(Struct):
    """What the API server says instead of an object."""

    message: str = ""
    reason: str = ""


class Session(Struct, frozen=True):
    """A cluster, who we are there, and the client that proves it."""

    access: Access
    identity: Identity
    http: Http


class KubernetesApi:
    """Requests to one cluster. The kubeconfig is read, and its plugin run, with the first of them."""

    def __init__(self, *, kubeconfig: str, context: str, namespace: str, base_dir: Path) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._base_dir = base_dir
        self._session: Session | None = None
        self._clients: list[Http] = []
        self._opening = Flight(self._open)

    async def access(self) -> Access:
        """The cluster, and as whom. Raises BackendError: config, auth."""
        return (await self._opened(None)).access

    async def namespace(self) -> str:
        """That of the config, else that of the context."""
        return self._namespace or (await self.access()).namespace or "default"

    async def path(self, group: str, *parts: str, namespace: str = "") -> str:
        """`/api/v1/namespaces/NS/services/NAME` for ("v1", "services", "NAME"); ("apps/v1", …) is under `/apis`."""
        root = f"/api/{group}" if "/" not in group else f"/apis/{group}"
        tail = "/".join(quote(part, safe="") for part in parts)
        return f"{root}/namespaces/{quote(namespace or await self.namespace(), safe='')}/{tail}"

    async def get(self, path: str, shape: type[T], *, params: Mapping[str, Any] | None = None, accept: str = "") -> T:
        """Retried while it may pass, within 10 s. `accept`: the form of the answer, plain JSON where empty. Raises
        BackendError."""

        async def ask(left_s: float) -> T:
            return (await self.send("GET", path, params=params, timeout=left_s, accept=accept)).decode(shape)

        return await retried(ask, timeout_s=READ_TIMEOUT_S, max_wait_s=MAX_WAIT_S)

    async def patch(self, path: str, operations: list[dict[str, Any]], shape: type[T], *, dry_run: bool = False) -> T:
        """One JSON patch (RFC 6902): all of it or nothing. Sent once.

        Raises BackendError; with a `status` from 400 to 499 nothing was written, else that is open until
        `WRITE_BOUND_S` have passed.
        """
        params = {"fieldManager": FIELD_MANAGER, "timeout": f"{WRITE_BOUND_S:g}s"} | (
            {"dryRun": "All"} if dry_run else {}
        )
        answer = await self.send(
            "PATCH", path, params=params, content=msgspec.json.encode(operations), content_type=JSON_PATCH,
            timeout=WRITE_TIMEOUT_S,
        )  # fmt: skip
        return answer.decode(shape)

    async def post(self, path: str, body: Any, shape: type[T]) -> T:
        """An object that asks something (a review). Raises BackendError."""
        answer = await self.send("POST", path, content=msgspec.json.encode(body), content_type="application/json")
        return answer.decode(shape)

    async def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: bytes | None = None,
        content_type: str = "",
        timeout: float = READ_TIMEOUT_S,
        accept: str = "",
    ) -> Answer:
        """One request; a second one only where the first was refused for who we are (401) and that can be renewed."""
        more = ({"content-type": content_type} if content_type else {}) | ({"accept": accept} if accept else {})
        session = await self._opened(None)
        answer = await self._ask(session, method, path, params, content, more, timeout)
        if answer.status == 401 and _renewable(session.access):
            session = await self._opened(session)
            answer = await self._ask(session, method, path, params, content, more, timeout)
        if answer.status >= 300:
            raise self._refused(answer, session, params)
        return answer

    async def lines(self, path: str, *, params: Mapping[str, Any], idle_s: float) -> AsyncGenerator[bytes, None]:
        """The lines of an answer as they come (`Http.lines`). Raises BackendError."""
        refused: Session | None = None
        while True:
            session = await self._opened(refused)
            try:
                async with contextlib.aclosing(self._lines(session, path, params, idle_s)) as lines:
                    async for line in lines:
                        yield line
                return
            except BackendError as error:
                if error.status != 401 or refused is not None or not _renewable(session.access):
                    raise
                refused = session

    def _lines(
        self, session: Session, path: str, params: Mapping[str, Any], idle_s: float
    ) -> AsyncGenerator[bytes, None]:
        url, headers = session.access.cluster.server.rstrip("/") + path, request_headers(session)
        return session.http.lines(
            url,
            params=params,
            headers=headers,
            idle_s=idle_s,
            refuse=lambda answer: self._refused(answer, session, params),
        )

    async def aclose(self) -> None:
        """Close the connections; safe to call twice."""
        self._session = None
        clients, self._clients = self._clients, []
        for http in clients:
            await http.aclose()

    async def _ask(
        self,
        session: Session,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        content: bytes | None,
        headers: Mapping[str, str],
        timeout: float,
    ) -> Answer:
        return await session.http.request(
            method,
            session.access.cluster.server.rstrip("/") + path,
            params=params,
            headers={**request_headers(session), **headers},
            content=content,
            timeout=timeout,
            accept_errors=True,
        )

    async def _opened(self, refused: Session | None) -> Session:
        """A session that is not the one that was `refused`, and whose identity has not run out."""
        session = self._session
        if session is not None and session is not refused and not session.identity.is_stale:
            return session
        return await self._opening()

    async def _open(self) -> Session:
        session = self._session
        access = session.access if session is not None else await asyncio.to_thread(
            load_access, self._kubeconfig, self._context, self._base_dir
        )  # fmt: skip
        identity = await identify(access)
        same_tls = session is not None and (session.identity.certificate, session.identity.key) == (
            identity.certificate,
            identity.key,
        )
        if session is not None and same_tls:
            http = session.http
        else:
            tls = await asyncio.to_thread(tls_context, access, identity)
            named = f"proxy-url of context {access.where} in the kubeconfig"
            http = Http(verify=tls, proxy=access.cluster.proxy_url, proxy_named=named)
            self._clients.append(http)  # those before it may still be in use
        self._session = Session(access, identity, http)
        return self._session

    def _refused(self, answer: Answer, session: Session, params: Mapping[str, Any] | None) -> BackendError:
        try:
            said = answer.decode(Status).message
        except BackendError:
            said = ""
        selector = (params or {}).get("labelSelector")
        asked = f'the label selector "{clean(selector, 128)}"' if selector else ""
        error = refusal(answer, headers=request_headers(session), said=said, asked=asked)
        if answer.status == 401:
            error.message = f"{session.access.where}: HTTP 401: who we are is not accepted (expired?)"
            error.fix = _SIGN_IN_FIX
        elif answer.status == 403:
            error.fix = _RIGHTS_FIX
        return error


def request_headers(session: Session) -> dict[str, str]:
    """Those of every request; the first is a secret."""
    authorization = session.identity.authorization
    return ({"authorization": authorization} if authorization else {}) | {"accept": "application/json"}


def _renewable(access: Access) -> bool:
    user = access.user
    return user.exec is not None or user.auth_provider is not None or user.token_file is not None
