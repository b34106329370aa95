"""The REST API of Airflow 2 (`/api/v1`) and 3 (`/api/v2`): which of them a server has, and how it is entered.

Source: the OpenAPI descriptions inside the packages apache-airflow 2.11 (`airflow/api_connexion/openapi/v1.yaml`) and
apache-airflow-core 3.3 (`airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml`).
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from backends.aws.access import AwsAccess
from backends.credentials import (
    Authentication,
    Credentials,
    Keyring,
    bearer,
    credentials,
    refuse_bad_url,
    refuse_literal_secrets,
)
from backends.errors import BackendError, ErrorKind
from backends.flight import Flight
from backends.http import Answer, Http, refusal
from backends.pipelines.airflow.mwaa import Mwaa
from backends.records import decode_mended
from backends.registry import AdapterContext
from backends.retrying import PASSING_STATUS
from backends.settings import Duration, Secret, reveal
from backends.text import clean

T = TypeVar("T")

PAGE = 100  # `maximum_page_limit`, to which servers cut a larger one without a word
MAX_REQUESTS = 4
_CREDENTIALS = "check `auth` of this entry: a user with a password, or a token"
_NOT_AIRFLOW = "check the URL: it is what the browser shows, without /home and without /api/…"


class AirflowAccess(Struct, frozen=True, kw_only=True):
    """What a config says of a server. Without `auth`, a server that hands tokens to all is asked for one.

    url: the server with the path of the deployment, without /api/…
    mwaa: the name of an environment that AWS runs, instead of `url` and `auth`.
    aws: how AWS is reached, for `mwaa`.
    auth: a user with a password (2.x: basic; 3.x: a JWT is got with it), or a token.
    headers: sent with every request; a value may be a reference.
    timeout: of one request.
    """

    url: str | Secret = ""
    mwaa: str = ""
    aws: AwsAccess = AwsAccess()
    auth: Authentication | None = None
    headers: dict[str, str | Secret] = field(default_factory=dict)
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if bool(self.url) == bool(self.mwaa):
            raise ValueError("url, mwaa: one of them")
        if self.mwaa and (self.auth is not None or self.headers):
            raise ValueError("auth, headers: not with mwaa, whose requests AWS signs")
        if self.url:
            refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")


class Version(Struct, frozen=True):
    """What `/version` says: `3.3.2`."""

    version: str


class _Token(Struct, frozen=True):
    access_token: str


class _Invalid(Struct, frozen=True):
    loc: tuple[Any, ...] = ()
    msg: str = ""


class _Complaint(Struct, frozen=True):
    """RFC 7807 of v1, and FastAPI's `detail` of v2 in its three shapes."""

    title: str = ""
    detail: Any = None

    def words(self) -> str:
        detail = self.detail
        if isinstance(detail, list):
            invalid = [msgspec.convert(each, _Invalid) for each in detail if isinstance(each, dict)]
            return "; ".join(f"{'.'.join(map(str, each.loc[1:]))}: {each.msg}" for each in invalid)
        if isinstance(detail, dict):
            return str(detail.get("reason") or detail.get("message") or "")  # `statement` would be SQL
        return str(detail or self.title).split("\n\n")[0]


def path_of(*parts: str) -> str:
    """A path of the API. Run ids hold `:` and `+`, and names of DAGs a dot or a space; one that is only dots would be
    taken for a step up."""
    return "/" + "/".join(quote(part, safe="~").replace(".", "." if part.strip(".") else "%2E") for part in parts)


class AirflowApi:
    """One server. Every method raises BackendError; a 401 is answered by one login for all, then it is an error."""

    def __init__(self, access: AirflowAccess, context: AdapterContext) -> None:
        self._access = access
        self._mwaa: Mwaa | None = None
        if access.mwaa:
            self._mwaa = Mwaa(access.mwaa, access.aws, context.base_dir, context.http, timeout_s=access.timeout)
        self._http: Http | Mwaa = self._mwaa or context.http
        self._base_dir = context.base_dir
        self._version: Version | None = None
        self._lets_all_in = True  # until it does not
        self._keys = Keyring(lambda: credentials(access.headers, access.auth, context.base_dir))
        self._session = Keyring(lambda: self._keys.entered(self._login))
        self._detecting = Flight(lambda: self._keys.entered(self._detect))
        self._requests = asyncio.Semaphore(MAX_REQUESTS)

    async def version(self) -> Version:
        """Asked once; `forget` asks anew."""
        if self._version is None:
            self._version = await self._detecting()
        return self._version

    def forget(self) -> None:
        """The server may be another by now: it was upgraded, or its URL leads elsewhere."""
        self._version = None

    async def is_v2(self) -> bool:
        """Whether it is Airflow 3."""
        return int((await self.version()).version.split(".")[0]) >= 3

    async def at_least(self, major: int, minor: int) -> bool:
        """Whether the server has what came with that version."""
        numbers = (await self.version()).version.split(".")[:2]
        return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in numbers) >= (major, minor)

    async def base(self) -> str:
        """The URL of the deployment, without a slash at its end."""
        if self._mwaa is not None:
            return self._mwaa.base
        return (await reveal(self._access.url, self._base_dir)).rstrip("/")

    async def page(self) -> str:
        """The same where a browser finds it."""
        return await self.base() if self._mwaa is None else await self._mwaa.page()

    async def get(self, path: str, shape: type[T], params: Mapping[str, Any] | None = None) -> T:
        """A GET of the API, decoded; one odd record of many is mended."""
        answer = await self._send("GET", path, params=params)
        return decode_mended(answer.body, shape, where=answer.url)

    async def raw(self, path: str, params: Mapping[str, Any] | None = None, accept: str = "application/json") -> Answer:
        """A GET of the API whose body is read by the caller."""
        return await self._send("GET", path, params=params, accept=accept)

    async def write(
        self, method: str, path: str, shape: type[T], json: Any, params: Mapping[str, Any] | None = None
    ) -> T:
        """One order, sent once (twice only where the first was refused with 401)."""
        return (await self._send(method, path, json=json, params=params)).decode(shape)

    # ---- inside

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        accept: str = "application/json",
    ) -> Answer:
        is_v2 = await self.is_v2()
        url = await self.base() + ("/api/v2" if is_v2 else "/api/v1") + path

        async def ask(known: Credentials) -> Answer:
            headers = {"accept": accept, **known.headers}
            answer = await self._request(method, url, params, headers, json, known.auth)
            if answer.status < 300:
                return answer
            if answer.status == HTTPStatus.UNAUTHORIZED:
                self._lets_all_in = False
            raise self._error(answer, headers, known.auth)

        has_token = self._access.auth is not None and self._access.auth.token is not None
        keys = self._session if is_v2 and not has_token else self._keys
        async with self._requests:
            return await keys.entered(ask)

    async def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        json: Any = None,
        auth: tuple[str, str] | None = None,
    ) -> Answer:
        told: dict[str, Any] = {"params": params, "headers": headers, "auth": auth, "timeout": self._access.timeout}
        if method == "GET":
            return await self._http.get(url, accept_errors=True, passing=PASSING_STATUS, **told)
        return await self._http.request(method, url, json=json, accept_errors=True, **told)

    async def _detect(self, own: Credentials) -> Version:
        base = await self.base()
        found: BackendError | None = None
        for prefix in ("/api/v2", "/api/v1"):
            answer = await self._request("GET", f"{base}{prefix}/version", None, own.headers, auth=own.auth)
            if answer.status >= 300:
                found = self._error(answer, own.headers, own.auth)
                if answer.status == 404:
                    continue
                raise found
            version = answer.decode(Version)
            if not version.version[:1].isdigit():
                break
            return Version(clean(version.version, 40))
        raise BackendError(
            found.kind if found else "malformed", f"{base}: no REST API of Airflow there", fix=_NOT_AIRFLOW
        )

    async def _login(self, own: Credentials) -> Credentials:
        """What opens v2, which takes no password with a request: a token for it, or one that is handed to all. It is
        not asked for where nobody needs one, and there may be none to be had."""
        if own.auth is None and self._lets_all_in:
            return own
        url = f"{await self.base()}/auth/token"
        if own.auth is None:
            answer = await self._request("GET", url, None, own.headers)
        else:
            body = {"username": own.auth[0], "password": own.auth[1]}
            answer = await self._request("POST", url, None, own.headers, body)
        if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
            return own
        if answer.status >= 300:
            raise self._error(answer, own.headers, own.auth)
        token = answer.decode(_Token).access_token
        return Credentials({**own.headers, "authorization": bearer(f"{answer.url}: access_token", token)}, None)

    def _error(self, answer: Answer, headers: Mapping[str, str], auth: tuple[str, str] | None) -> BackendError:
        words = ""
        if "json" in answer.headers.get("content-type", ""):
            try:
                words = answer.decode(_Complaint).words()
            except BackendError:
                words = ""
        error = refusal(answer, headers=headers, auth=auth, said=words)
        kind: ErrorKind = error.kind
        if answer.status in (400, 422) and words:
            kind = "config"  # what we asked for cannot be: a bad param, a run of a kind that is not allowed
        fix = _CREDENTIALS if kind == "auth" else "correct what was asked for" if kind == "config" else ""
        return BackendError(kind, error.message, fix=fix, retry_after_s=error.retry_after_s, status=answer.status)


def is_last(read: int, found: int, total: int | None) -> bool:
    """Whether a page of `read` rows, after which `found` are there, is the last. A page may be shorter than was asked
    for: a server cuts it to its own `maximum_page_limit`. Where it does not count them, an empty one is the last."""
    return read == 0 or (total is not None and found >= total)
