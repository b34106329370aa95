"""The way into an environment of MWAA where `InvokeRestApi` is refused: a web login token of AWS, which its web server
takes once and gives a session for, as a browser gets one.

Source: https://docs.aws.amazon.com/mwaa/latest/userguide/access-mwaa-apache-airflow-rest-api.html
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct

from backends.aws.account import Account
from backends.aws.wire import told
from backends.errors import BackendError
from backends.http import Answer, Http
from backends.redaction import learn
from backends.text import clean

_COOKIE = re.compile(r"(?:^|[,;\s])(session|_token)=([^;,\s]+)")


class _Token(Struct, frozen=True, rename="pascal"):
    web_token: str
    web_server_hostname: str


class _Session(Struct, frozen=True):
    base: str
    headers: dict[str, str]


class WebLogin:
    """Requests to the web server of an environment, in a session that is got anew once it has ended."""

    def __init__(self, environment: str, account: Account, http: Http, *, scheme: str, timeout_s: float) -> None:
        self._name, self._account, self._http = environment, account, http
        self._scheme, self._timeout_s = scheme, timeout_s
        self._sessions: dict[bool, _Session] = {}

    async def request(
        self, method: str, path: str, params: Mapping[str, Any] | None, json: Any, *, is_v2: bool
    ) -> Answer:
        """One request to `path` (`/api/v1/…`). Raises BackendError; what Airflow refuses is an answer. What it refuses
        for the session it did not take: that goes once more."""
        for again in (True, False):
            known = self._sessions.get(is_v2)
            session = known or await self._begun(is_v2=is_v2)
            if session is None:
                return Answer(404, {"content-type": "application/json"}, b"{}", 0.0, f"mwaa://{self._name}{path}")
            answer = await self._http.request(
                method, session.base + path, params=params, json=json, headers=session.headers,
                timeout=self._timeout_s, accept_errors=True,
            )  # fmt: skip
            if answer.status != HTTPStatus.UNAUTHORIZED or known is None or not again:
                return answer
            self._sessions.pop(is_v2, None)
        raise AssertionError

    async def _begun(self, *, is_v2: bool) -> _Session | None:
        """A session; None where the web server is of the other major version of Airflow. Raises BackendError."""
        answer = await self._account.read("mwaa", "create_web_login_token", Name=self._name)
        token = told(answer, _Token, self._account.where)
        learn(token.web_token)
        base = f"{self._scheme}://{token.web_server_hostname}"
        login = f"{base}{'/pluginsv2' if is_v2 else ''}/aws_mwaa/login"
        form = {"content-type": "application/x-www-form-urlencoded"}
        entered = await self._http.request(
            "POST", login, content=urlencode({"token": token.web_token}).encode(), headers=form,
            timeout=self._timeout_s, accept_errors=True,
        )  # fmt: skip
        if entered.status == HTTPStatus.NOT_FOUND:
            return None
        cookies = dict(_COOKIE.findall(entered.headers.get("set-cookie", "")))
        wanted = "_token" if is_v2 else "session"
        if entered.status >= 400 or wanted not in cookies:
            words = clean(f"the web server of {self._name} gives no session for a web login token", 200)
            fix = "allow airflow:InvokeRestApi, or see who may log in at the web server"
            raise BackendError("auth", f"{self._account.where}: {words} (HTTP {entered.status})", fix=fix)
        learn(cookies[wanted])
        headers = {"authorization": f"Bearer {cookies[wanted]}"} if is_v2 else {"cookie": f"session={cookies[wanted]}"}
        self._sessions[is_v2] = _Session(base, headers)
        return self._sessions[is_v2]
