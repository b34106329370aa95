"""Airflow that AWS runs (MWAA): its REST API by `InvokeRestApi`, signed as every call of AWS, with no user of its own.

AWS names paths without `/api/v1`, and tells an error of Airflow as one of its own, with Airflow's status and body.
Where it refuses `InvokeRestApi`, requests go to the web server itself, by a web login token.
API: https://docs.aws.amazon.com/mwaa/latest/API/API_InvokeRestApi.html
"""

import json as json_text
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.aws.wire import told
from backends.errors import BackendError
from backends.http import Answer, Http
from backends.pipelines.airflow.mwaa_login import WebLogin
from backends.text import clean

SCHEME = "mwaa://"
_OF_AIRFLOW = frozenset({"RestApiClientException", "RestApiServerException"})
_VERSION = re.compile(r"/api/v\d+(?=/)")


class _Invoked(Struct, frozen=True, rename="pascal"):
    rest_api_status_code: int
    rest_api_response: Any = None


class _Environment(Struct, frozen=True, rename="pascal"):
    webserver_url: str = ""


class _Environments(Struct, frozen=True, rename="pascal"):
    environment: _Environment


class Mwaa:
    """Requests to one environment, as the shared HTTP client makes those to a server."""

    def __init__(self, environment: str, access: AwsAccess, base_dir: Path, http: Http, *, timeout_s: float) -> None:
        self.base = f"{SCHEME}{environment}"
        self._name = environment
        self._account = account_of(access, base_dir, timeout_s=timeout_s)
        self._page: str | None = None
        scheme = "http" if access.endpoint_url.startswith("http://") else "https"
        self._login = WebLogin(environment, self._account, http, scheme=scheme, timeout_s=timeout_s)
        self._by_login = False

    async def page(self) -> str:
        """Where a browser finds it; its name where we may not ask."""
        if self._page is None:
            try:
                answer = await self._account.read("mwaa", "get_environment", Name=self._name)
            except BackendError as error:
                if error.kind not in ("auth", "config"):
                    raise
                self._page = self.base
            else:
                host = told(answer, _Environments, self._account.where).environment.webserver_url
                self._page = f"https://{clean(host, 250)}" if host else self.base
        return self._page

    async def get(self, url: str, *, params: Mapping[str, Any] | None = None, **_: Any) -> Answer:
        """A GET. Raises BackendError; what Airflow refuses is an answer."""
        return await self._invoke("GET", url, params, None)

    async def request(
        self, method: str, url: str, *, params: Mapping[str, Any] | None = None, json: Any = None, **_: Any
    ) -> Answer:
        """Any other, sent once. Raises BackendError; what Airflow refuses is an answer."""
        return await self._invoke(method, url, params, json)

    async def _invoke(self, method: str, url: str, params: Mapping[str, Any] | None, body: Any) -> Answer:
        is_v2, whole = "/api/v2/" in url, url.removeprefix(self.base)
        if self._by_login:
            return await self._login.request(method, whole, params, body, is_v2=is_v2)
        try:
            return await self._signed(method, url, params, body)
        except BackendError as refusal:
            if refusal.kind != "auth" or " no right " not in refusal.message:
                raise
            try:
                answer = await self._login.request(method, whole, params, body, is_v2=is_v2)
            except BackendError as error:
                words = clean(f"{refusal.message}; nor by a web login token: {error.message}", 500)
                raise BackendError("auth", words, fix=refusal.fix, status=refusal.status) from None
            self._by_login = True
            return answer

    async def _signed(self, method: str, url: str, params: Mapping[str, Any] | None, body: Any) -> Answer:
        path = _VERSION.sub("", url.removeprefix(self.base), count=1)
        asked: dict[str, Any] = {"Name": self._name, "Path": path, "Method": method}
        if params:
            asked["QueryParameters"] = {name: value for name, value in params.items() if value is not None}
        if body is not None:
            asked["Body"] = body
        began, once = time.monotonic(), method != "GET"
        answer = await self._account.rest("mwaa", "invoke_rest_api", asked, answers=_OF_AIRFLOW, once=once)
        found = told(answer, _Invoked, f"{self._account.where}: {clean(self._name, 100)}")
        said = found.rest_api_response
        return Answer(
            status=found.rest_api_status_code,
            headers={"content-type": "application/json"},
            body=said.encode() if isinstance(said, str) else json_text.dumps(said).encode(),
            seconds=time.monotonic() - began,
            url=f"{self.base}{path}",
        )


async def environments_of(access: AwsAccess, base_dir: Path, *, timeout_s: float) -> tuple[str, list[str]]:
    """The region, and the names of the environments there. Raises BackendError."""
    account = account_of(access, base_dir, timeout_s=timeout_s)
    region = await account.region()
    return region, sorted(
        clean(str(name), 80) for name in await account.pages("mwaa", "list_environments", "Environments")
    )
