"""A report that another tool leaves, judged by its age and by what it says: JUnit, SARIF, k6, Terraform, DVC, coverage.

```toml
[[contexts.production.checks]]
name = "drift"
type = "report"
path = "s3://reports/infra/plan.json"   # or a file, relative to the config; either may be gzip
max_age = "26h"                         # what is older proves nothing: unknown
[[contexts.production.checks]]
name = "scan"
type = "report"
url = "https://ci.internal/reports/scan.sarif"
headers = { Authorization = { env = "CI_AUTHORIZATION" } }
format = "sarif"                        # its looks are enough for all but dvc
warn = { note = 20 }                    # more of them are a warning; of tests and shares of coverage: fewer
crit = { warning = 10, error = 0 }      # inf: never
[[contexts.production.checks]]
name = "nightly"
type = "report"
github = { repo = "acme/shop", workflow = "nightly.yml", artifact = "junit", token = { env = "GITHUB_TOKEN" } }
```
Of a workflow it is the newest artifact of that name, of whatever run has one (`branch = "main"`: of that branch).
What is counted, and its limits where nobody says otherwise:

| format | counts (`= 0`: more are critical; `~ 0`: more are a warning) |
|---|---|
| `junit` | `failures = 0`, `errors = 0`, `skipped`, `tests`; where no test ran it is unknown |
| `sarif` | results by level: `error = 0`, `warning ~ 0`, `note`; those that are suppressed or gone are none |
| `k6` | `crossed = 0`, `thresholds`; without a threshold it is unknown |
| `terraform` | `destroys = 0`; `creates`, `changes`, `drifted`, `outputs` `~ 0` |
| `dvc` | `missing = 0`, `changed ~ 0` |
| `coverage` | percent of `lines` (below 80 is a warning) and `branches`; coverage.py's JSON and Cobertura's XML |

The age is that of the file, or of the report by its own word where that is older. A report that is missing, of another
format, damaged or too old is unknown, whatever it says.
"""

import math
import time
from datetime import datetime
from functools import partial

from msgspec import Struct

from backends.artifacts.reading import check_location, is_s3
from backends.aws.access import AwsAccess
from backends.checks.age import AHEAD_S
from backends.checks.findings import Findings, Limits, number
from backends.checks.report.formats import FORMATS, FormatName, labels_of, read_report
from backends.checks.report.github import Artifacts, GitHubArtifact
from backends.checks.report.sources import Page, Source, Stored, Stores
from backends.credentials import refuse_bad_url, refuse_literal_secrets
from backends.errors import BackendError
from backends.models import CheckResult, PerfDatum
from backends.registry import AdapterContext
from backends.settings import Duration, Secret


class ReportCheckConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the report is (one of `path`, `url` and `github`), how old it may be, and what is judged.

    path: a file, or `s3://bucket/key`.
    url: what answers with it; its age is that of `Last-Modified`.
    github: the newest artifact of a workflow.
    headers: sent with the request for `url`; a value may be a reference.
    format: what it is; without, what it looks like.
    max_age: one that is older is unknown.
    warn: by what is counted: more is a warning (of tests, thresholds, lines and branches: less).
    crit: the same, critical.
    aws: how S3 is reached.
    timeout: of the whole look.
    """

    path: str | None = None
    url: str | Secret | None = None
    github: GitHubArtifact | None = None
    headers: dict[str, str | Secret] = {}
    format: FormatName | None = None
    max_age: Duration = Duration(26 * 3600)
    warn: dict[str, float] = {}
    crit: dict[str, float] = {}
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(8)

    def __post_init__(self) -> None:
        if [self.path, self.url, self.github].count(None) != 2:
            raise ValueError("path, url, github: one of them")
        if self.path is not None:
            check_location("path", self.path)
            if not self.path.rpartition("/")[2] or (is_s3(self.path) and "/" not in self.path.removeprefix("s3://")):
                raise ValueError("path: a file, or s3://bucket/key")
        if self.url is not None:
            refuse_bad_url("url", self.url)
        refuse_literal_secrets(self.headers)
        if self.headers and self.url is None:
            raise ValueError("headers: they go with url")
        if self.aws != AwsAccess() and not is_s3(self.path or ""):
            raise ValueError("aws: path is not in S3, and needs none")
        if self.max_age <= 0 or self.timeout <= 0:
            raise ValueError("max_age, timeout: more than 0s")
        known = labels_of(self.format)
        for key, limits in (("warn", self.warn), ("crit", self.crit)):
            if unknown := sorted(set(limits) - known):
                raise ValueError(f"{key}: {unknown[0]} is not counted here, but {', '.join(sorted(known))}")
            if any(math.isnan(limit) for limit in limits.values()):
                raise ValueError(f"{key}: a limit is a number")

    def limits(self, format_: FormatName, label: str) -> Limits:
        """Of one count."""
        usual = FORMATS[format_].limits[label]
        warn, crit = self.warn.get(label, usual.warn), self.crit.get(label, usual.crit)
        return Limits(_finite(warn), _finite(crit), usual.at_least)


class ReportCheck:
    """`Check` of a report. What is found wanting in it is a state; where nobody could look is an error."""

    api = 1
    Config = ReportCheckConfig

    def __init__(self, config: ReportCheckConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._source: Source
        if config.path is not None:
            self._source = Stores(config.path, context.base_dir, config.aws, config.timeout)
        elif config.github is not None:
            self._source = Artifacts(config.github, context, config.timeout)
        else:
            assert config.url is not None
            self._source = Page(config.url, config.headers, context.base_dir, context.http, config.timeout)

    async def run(self) -> CheckResult:
        """Look once. Raises BackendError where the place of the report can not be looked into."""
        began = time.monotonic()
        findings = Findings(self._name)
        try:
            stored = await self._source.fetch(partial(read_report, name=self._config.format))
        except BackendError as error:
            if error.kind not in ("not_found", "malformed"):
                raise
            findings.fault("unknown", error.message)
            return findings.result("", seconds=time.monotonic() - began)
        return self._judged(findings, stored, seconds=time.monotonic() - began)

    async def aclose(self) -> None:
        """Close the source; safe to call twice."""
        await self._source.aclose()

    def _judged(self, findings: Findings, stored: Stored, *, seconds: float) -> CheckResult:
        report, age_s = stored.report, _age_s(stored)
        age = "" if age_s is None else f"{stored.name} is {Duration(round(max(0.0, age_s)))} old"
        is_old = age_s is None or not -AHEAD_S <= age_s <= self._config.max_age
        beyond: list[str] = []
        for count in report.counts:
            limits = self._config.limits(stored.format, count.label)
            if is_old and limits.judge(count.value) != "ok":
                beyond.append(count.words)
            # What is old says nothing; what is not whole says at least what is wrong.
            limits = Limits() if is_old else limits
            findings.measured(count.label, count.value, count.words, limits=limits, unit=count.unit)
        if report.unjudged:
            findings.fault("unknown", f"{stored.name}: {report.unjudged}")
        if age_s is None:
            findings.fault("unknown", f"{stored.name}: neither the report nor its server says how old it is")
        elif age_s < -AHEAD_S:
            words = f"{stored.name} is {Duration(round(-age_s))} in the future: a clock is wrong"
            findings.fault("unknown", words)
        elif is_old:
            findings.fault(
                "unknown", f"{age}, over {self._config.max_age}: it said {'; '.join(beyond) or report.summary}"
            )
        if age_s is not None:
            oldest = number(float(self._config.max_age))
            findings.add(
                "ok", "", PerfDatum(label="age", value=max(0.0, round(age_s, 3)), unit="s", warn=oldest, min=0)
            )
        return findings.result(f"{report.summary}; {age}", seconds=seconds)


def _age_s(stored: Stored) -> float | None:
    """Of the older of the two: a copy is as old as what it is a copy of."""
    times = [_epoch(at) for at in (stored.since, stored.report.made_at) if at is not None]
    return time.time() - min(times) if times else None


def _epoch(at: datetime | float) -> float:
    return at.timestamp() if isinstance(at, datetime) else at


def _finite(limit: float | None) -> float | None:
    return None if limit is None or math.isinf(limit) else limit
