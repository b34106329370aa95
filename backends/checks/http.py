"""A health check by one HTTP request, never repeated: what failed once has failed.

```toml
[[contexts.production.checks]]
name = "api"
type = "http"
url = "https://api.example.com/health"
expect = { status = 200, json = { status = "healthy" }, body = "regular expression" }
warn = "500ms"
crit = "2s"
timeout = "5s"
headers = { Authorization = { env = "API_AUTHORIZATION" } }
auth = { username = "oncall", password = { env = "API_PASSWORD" } }   # or: auth = { token = { env = "API_TOKEN" } }
certificate_warn = "21d"                # at least so long the certificate of an https URL should still be valid
certificate_crit = "7d"
```
"""

import asyncio
import re
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct, field

from backends.checks.certificate import CERTIFICATE_CRIT, CERTIFICATE_WARN, certificate_limits, measure_certificate
from backends.checks.findings import Findings, critical
from backends.checks.latency import LatencyLimits, judge_latency
from backends.credentials import Authentication, credentials, refuse_bad_url, refuse_literal_secrets
from backends.errors import BackendError
from backends.http import Answer, decode_json
from backends.models import CheckResult
from backends.patterns import Pattern
from backends.redaction import redact_url
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, reveal
from backends.stopwatch import Stopwatch
from backends.text import clean

SEARCHED_BYTES = 256 * 1024


class Expectation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a healthy answer is.

    status: its HTTP status.
    json: keys and values that its JSON has.
    body: a regular expression that is found in its text.
    """

    status: int = 200
    json: dict[str, Any] | None = None
    body: str | None = None

    def __post_init__(self) -> None:
        if not 100 <= self.status <= 599:
            raise ValueError("expect.status: 100 to 599")
        if self.body is not None:
            try:
                re.compile(self.body)
            except re.error as error:
                raise ValueError(f"expect.body: not a regular expression: {error}") from None


class HttpCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to ask, and what to expect.

    url: what is asked; redirects are not followed.
    method: of the request.
    expect: what a healthy answer is.
    warn: a whole answer that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: no answer within this is critical.
    headers: sent with every request; a value may be a reference.
    auth: a user with a password, or a token.
    certificate_warn: a certificate that is valid for less than this is a warning.
    certificate_crit: the same, critical.
    """

    url: str | Secret
    method: str = "GET"
    expect: Expectation = Expectation()
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    certificate_warn: Duration = CERTIFICATE_WARN
    certificate_crit: Duration = CERTIFICATE_CRIT

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        if not re.fullmatch(r"[A-Z]{3,16}", self.method):
            raise ValueError("method: GET, HEAD, POST …")
        refuse_literal_secrets(self.headers)
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        LatencyLimits(self.warn, self.crit)
        certificate_limits(self.certificate_warn, self.certificate_crit)


class HttpCheck:
    """`Check` over HTTP. Redirects are not followed: where one is expected, expect its status."""

    api = 1
    Config = HttpCheckConfig

    def __init__(self, config: HttpCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir
        self._http = context.http
        self._limits = LatencyLimits(config.warn, config.crit)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError(config) where nobody could look: a missing secret, an impossible URL."""
        url = await reveal(self._config.url, self._base_dir)
        known = await credentials(self._config.headers, self._config.auth, self._base_dir)
        with Stopwatch() as watch:
            try:
                answer = await self._http.request(
                    self._config.method, url, headers=known.headers, auth=known.auth,
                    timeout=self._config.timeout, accept_errors=True,
                )  # fmt: skip
            except BackendError as error:
                if error.kind in ("config", "internal"):
                    raise
                took = watch.took()
                if error.kind == "timeout" and took.late_s > self._config.timeout / 2:
                    words = f"{error.message}; not judged: this host was late by {took.late_s * 1000:.0f} ms"
                    raise BackendError("timeout", words, fix="see the load of this host") from None
                return critical(self._name, error.message)
        findings = Findings(self._name)
        wrong = _disappointment(answer, self._config.expect) or await self._unfound(answer)
        state, words, datum = judge_latency(answer.seconds, self._limits, late_s=answer.late_s)
        findings.add(
            state if wrong is None else "critical", wrong or f"{answer.status} {_word(answer)} in {words}", datum
        )
        if answer.certificate_ends is not None:
            limits = certificate_limits(self._config.certificate_warn, self._config.certificate_crit)
            measure_certificate(findings, answer.certificate_ends - datetime.now(UTC), limits)
        return findings.result(f"{answer.status} {_word(answer)} in {words}", seconds=answer.seconds)

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    async def _unfound(self, answer: Answer) -> str | None:
        """What its text lacks, in words. Raises BackendError(config) for a pattern that takes too long."""
        if (body := self._config.expect.body) is None:
            return None
        text = answer.body[:SEARCHED_BYTES].decode("utf-8", "replace")
        if await asyncio.to_thread(Pattern(body).found_in_text, text):
            return None
        return f"{answer.status}, but the body does not match /{clean(body, 80)}/"


def _disappointment(answer: Answer, expect: Expectation) -> str | None:
    """What is not as expected, in words, or None."""
    if answer.status != expect.status:
        location = answer.headers.get("location", "")
        to = f" to {redact_url(location)}" if location and 300 <= answer.status < 400 else ""
        return f"{answer.status} {_word(answer)}{to}, expected {expect.status}"
    if expect.json is not None:
        try:
            body = decode_json(answer.body, dict[str, Any], where=answer.url)
        except BackendError as error:
            return f"{answer.status}, but {error.message}"
        if wrong := _difference(body, expect.json, "$"):
            return f"{answer.status}, but {wrong}"
    return None


def _difference(found: Any, expected: Any, at: str) -> str | None:
    """Where `found` does not have what `expected` has; tables need only hold the expected keys."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key, value in expected.items():
            if key not in found:
                return f"{at}.{key} is missing"
            if wrong := _difference(found[key], value, f"{at}.{key}"):
                return wrong
        return None
    if found == expected and isinstance(found, bool) == isinstance(expected, bool):
        return None
    return f"{at} is {_json(found)}, expected {_json(expected)}"


def _json(value: Any) -> str:
    return clean(msgspec.json.encode(value).decode("utf-8", "replace"), 80)


def _word(answer: Answer) -> str:
    """The `status` that a JSON body has, else the reason phrase."""
    try:
        status = answer.decode(dict[str, Any]).get("status")
    except BackendError:
        status = None
    if isinstance(status, str) and status:
        return clean(status, 40)
    try:
        return HTTPStatus(answer.status).phrase
    except ValueError:
        return "(no such status)"
