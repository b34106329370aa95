"""A health check by a blackbox exporter, from where that stands. Source: https://github.com/prometheus/blackbox_exporter.

```toml
[[contexts.production.checks]]
name = "storefront"
type = "blackbox"
url = "http://blackbox:9115"            # the exporter, with its path prefix
target = "https://www.example.com/"     # as the module wants it: a URL, host:port, a host
module = "http_2xx"
warn = "500ms"
crit = "2s"
```
"""

import contextlib
import math
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from msgspec import Struct, field

from backends.checks.certificate import CERTIFICATE_CRIT, CERTIFICATE_WARN, certificate_limits, measure_certificate
from backends.checks.findings import Findings
from backends.checks.latency import LatencyLimits, judge_latency
from backends.credentials import Authentication, credentials, refuse_bad_url, refuse_literal_secrets
from backends.errors import BackendError, ErrorKind
from backends.models import CheckResult
from backends.redaction import quoted, redact_url, request_secrets
from backends.registry import AdapterContext
from backends.settings import Duration, Secret, refuse_password_in_url, reveal
from backends.text import clean

FOREVER_S = 100 * 365 * 86400.0
_METRICS = "Metrics that would have been returned:"
_SAMPLE = re.compile(r'^(probe_\w+)(?:\{phase="(\w+)"\})? (\S+)$', re.MULTILINE)
_REASON = re.compile(r'\berr="((?:[^"\\]|\\.)*)"')
_QUOTED_URL = re.compile(r'^\w+ ".*?": ')


class BlackboxCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which exporter is to probe what, and how.

    url: the exporter, with its path prefix.
    target: as the module wants it: a URL, `host:port`, a host.
    module: of the exporter's config.
    warn: a probe that takes longer is a warning.
    crit: one that takes longer is critical.
    timeout: of the probe.
    headers: sent to the exporter with every request; a value may be a reference.
    auth: for the exporter: a user with a password, or a token.
    certificate_warn: a certificate that is valid for less than this is a warning.
    certificate_crit: the same, critical.
    """

    url: str | Secret
    target: str
    module: str = "http_2xx"
    warn: Duration | None = None
    crit: Duration | None = None
    timeout: Duration = Duration(5)
    headers: dict[str, str | Secret] = field(default_factory=dict)
    auth: Authentication | None = None
    certificate_warn: Duration = CERTIFICATE_WARN
    certificate_crit: Duration = CERTIFICATE_CRIT

    def __post_init__(self) -> None:
        refuse_bad_url("url", self.url)
        refuse_password_in_url(self.target)
        refuse_literal_secrets(self.headers)
        if not self.target.strip() or not self.module.strip():
            raise ValueError("target, module: not empty")
        if self.timeout <= 0:
            raise ValueError("timeout: more than 0s")
        LatencyLimits(self.warn, self.crit)
        certificate_limits(self.certificate_warn, self.certificate_crit)


class BlackboxCheck:
    """`Check` by one probe. An exporter that cannot be asked is an error: it says nothing about the target."""

    api = 1
    Config = BlackboxCheckConfig

    def __init__(self, config: BlackboxCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._base_dir = context.base_dir
        self._http = context.http
        self._limits = LatencyLimits(config.warn, config.crit)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where the exporter did not probe."""
        config = self._config
        url = await reveal(config.url, self._base_dir)
        known = await credentials(config.headers, config.auth, self._base_dir)
        # Debugged, since the metrics alone do not say why a probe failed; and it ends a probe before we stop waiting.
        answer = await self._http.request(
            "GET", f"{url.rstrip('/')}/probe", auth=known.auth, timeout=config.timeout + 1, accept_errors=True,
            headers={**known.headers, "x-prometheus-scrape-timeout-seconds": f"{config.timeout:g}"},
            params={"target": config.target, "module": config.module, "debug": "true"},
        )  # fmt: skip
        text = answer.body.decode("utf-8", "replace")
        if answer.status != 200:
            kind: ErrorKind = "config" if answer.status == 400 else "unreachable"
            fix = "correct `module` and `target` of this check" if kind == "config" else ""
            said = quoted(text.strip(), secrets=request_secrets(url, known.headers, known.auth))
            raise BackendError(kind, f"{answer.url}: HTTP {answer.status}: {said}", fix=fix)
        log, _, metrics = text.rpartition(_METRICS)
        found = parse_probe(metrics)
        if "probe_success" not in found:
            raise BackendError(
                "malformed", f"{answer.url}: no probe_success in the answer", fix="is it a blackbox exporter?"
            )
        return self._judged(found, log)

    async def aclose(self) -> None:
        """Nothing of its own is open."""

    def _judged(self, found: dict[str, float], log: str) -> CheckResult:
        findings = Findings(self._name)
        status = int(found.get("probe_http_status_code", 0))
        succeeded = found["probe_success"] == 1
        said = f"{status} {_phrase(status)}" if status else "probe succeeded" if succeeded else ""
        if not succeeded:
            why = "the body does not match" if found.get("probe_failed_due_to_regex") == 1 else _reason(log)
            words = ", but ".join(part for part in (said, why) if part)
            target = self._config.target
            where = redact_url(target) if "://" in target else clean(target, 200)
            findings.fault("critical", f"{where}: {words or 'probe failed'}")
            if not status:
                return findings.result("")
        seconds = found.get("probe_duration_seconds", 0.0)
        state, latency, datum = judge_latency(seconds, self._limits)
        findings.add(state, f"{said} in {latency}", datum)
        for name, value in found.items():
            base, _, phase = name.partition("/")
            if phase and base in ("probe_http_duration_seconds", "probe_icmp_duration_seconds"):
                findings.measured(phase, round(value, 6), unit="s")
        if ends := found.get("probe_ssl_earliest_cert_expiry"):
            limits = certificate_limits(self._config.certificate_warn, self._config.certificate_crit)
            left_s = min(ends - datetime.now(UTC).timestamp(), FOREVER_S)
            measure_certificate(findings, timedelta(seconds=left_s), limits)
        return findings.result(f"{said} in {latency}", seconds=seconds)


def parse_probe(metrics: str) -> dict[str, float]:
    """Samples by name, those of a phase as `name/phase`; what is no number is left out."""
    found: dict[str, float] = {}
    for name, phase, value in _SAMPLE.findall(metrics):
        with contextlib.suppress(ValueError):
            if math.isfinite(number := float(value)):
                found[f"{name}/{phase}" if phase else name] = number
    return found


def _reason(log: str) -> str:
    """The last error of the probe's log, without the URL, which may hold a token."""
    reasons: list[Any] = _REASON.findall(log)
    if not reasons:
        return ""
    return quoted(_QUOTED_URL.sub("", reasons[-1].replace('\\"', '"')))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no such status)"
