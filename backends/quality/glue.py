"""Results of AWS Glue Data Quality: the score of each ruleset on each table or job, with the rules that failed.

```toml
[[contexts.production.quality]]
type = "glue"
rulesets = ["orders-*"]                 # globs; default: all
pipelines = "glue"                      # the pipelines entry whose runs evaluate: a score then names its run, by the
                                        # id that it has there (each run is asked for once: glue:GetJobRun)
aws = { region = "eu-central-1" }
```
A dataset is called as its table is, with its database where two have one of that name; what a job evaluates on no table
of the catalog is called by its evaluation context, or as the job is.
API: https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-data-quality-api.html
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from backends.aws.access import AwsAccess
from backends.aws.account import MAX_PAGES, account_of
from backends.aws.wire import told
from backends.errors import BackendError
from backends.identifiers import identifier
from backends.models import FailedExpectation, QualityScore
from backends.pipelines.glue.wire import JobRun, OneRun, Run
from backends.quality.rows import MAX_FAILURES, Limits, as_column, score_of
from backends.registry import AdapterContext
from backends.settings import Duration
from backends.text import clean
from backends.together import few_at_a_time, together

AT_ONCE = 100
"""So many results `BatchGetDataQualityResult` gives at a time."""
MAX_KEPT = 20_000
SIDE_BY_SIDE = 4


class GlueQualityConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which results of an account and region, and what they mean.

    rulesets: globs of their names.
    pipelines: the pipelines entry of type `glue` whose job runs evaluate.
    warn: a score below this is a warning.
    crit: a score below this is critical.
    history: points of trend.
    window: how far back results are looked at.
    cadence: how often it is evaluated; by default the median interval of the trend.
    aws: how AWS is reached.
    timeout: of one request.
    """

    rulesets: tuple[str, ...] = ("*",)
    pipelines: str = ""
    warn: float = 0.95
    crit: float = 0.80
    history: int = 24
    window: Duration = Duration(7 * 86400)
    cadence: Duration | None = None
    aws: AwsAccess = AwsAccess()
    timeout: Duration = Duration(10)

    def __post_init__(self) -> None:
        if not self.rulesets or not all(self.rulesets):
            raise ValueError("rulesets: one or more, none of them empty")
        if not 0 <= self.crit <= self.warn <= 1:
            raise ValueError("warn, crit: 0 <= crit <= warn <= 1 (95 % is 0.95)")
        if not 1 <= self.history <= 1000:
            raise ValueError("history: 1 to 1000")
        if self.window < 60 or self.timeout <= 0 or (self.cadence is not None and self.cadence <= 0):
            raise ValueError("window: at least 1m; timeout, cadence: more than 0s")


class _Table(Struct, frozen=True, rename="pascal"):
    database_name: str
    table_name: str


class _Source(Struct, frozen=True, rename="pascal"):
    glue_table: _Table | None = None
    data_quality_glue_table: _Table | None = None


class _Listed(Struct, frozen=True, rename="pascal"):
    result_id: str


class _Page(Struct, frozen=True, rename="pascal"):
    results: tuple[_Listed, ...]
    next_token: str = ""


class _Rule(Struct, frozen=True, rename="pascal"):
    name: str = ""
    description: str = ""
    evaluation_message: str = ""
    result: str = ""

    @property
    def failed(self) -> FailedExpectation:
        """What it says of the data."""
        return FailedExpectation(
            clean(self.description or self.name or "(no name)", 200), clean(self.evaluation_message, 500)
        )


class _Result(Struct, frozen=True, rename="pascal"):
    result_id: str
    score: float | None = None
    data_source: _Source | None = None
    ruleset_name: str = ""
    evaluation_context: str = ""
    started_on: datetime | None = None
    completed_on: datetime | None = None
    job_name: str = ""
    job_run_id: str = ""
    rule_results: tuple[_Rule, ...] = ()

    @property
    def job_run(self) -> tuple[str, str]:
        """The job that evaluated, and Glue's id of the attempt; both may be empty."""
        return self.job_name, self.job_run_id

    @property
    def table(self) -> _Table | None:
        """Of the catalog; None for what a job has read by itself."""
        source = self.data_source
        return None if source is None else source.glue_table or source.data_quality_glue_table

    @property
    def key(self) -> tuple[str, str, str]:
        """Database (or empty), name, suite."""
        if self.table is not None:
            return self.table.database_name, self.table.table_name, self.ruleset_name
        return "", self.evaluation_context or self.job_name or self.ruleset_name, self.ruleset_name


class _Results(Struct, frozen=True, rename="pascal"):
    results: tuple[_Result, ...]


class GlueQuality:
    """`Quality` of one account and region. A result is read once, and the run that it is of: they do not change."""

    api = 1
    Config = GlueQualityConfig

    def __init__(self, config: GlueQualityConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._account = account_of(config.aws, context.base_dir, timeout_s=config.timeout)
        self._limits = Limits(config.warn, config.crit, 1.0, config.history, config.cadence)
        self._known: dict[str, _Result] = {}
        self._run_ids: dict[tuple[str, str], str] = {}

    async def scores(self) -> list[QualityScore]:
        """By name. Raises BackendError."""
        now = datetime.now(UTC)
        results = await self._results(await self._listed(now))
        groups: dict[tuple[str, str, str], list[_Result]] = {}
        for result in results:
            if any(fnmatchcase(result.ruleset_name, wanted) for wanted in self._config.rulesets):
                groups.setdefault(result.key, []).append(result)
        await self._name_runs([_newest(group) for group in groups.values()])
        databases = Counter(name for _, name in {(database, name) for database, name, _ in groups})
        found = []
        for (database, name, _), group in sorted(groups.items()):
            shown = f"{database}.{name}" if database and databases[name] > 1 else name
            found.append(self._score(clean(shown, 200), group, now))
        return found

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""

    async def _listed(self, now: datetime) -> list[str]:
        asked: dict[str, Any] = {"Filter": {"StartedAfter": now - timedelta(seconds=self._config.window)}}
        ids: list[str] = []
        for _ in range(MAX_PAGES):
            answer = await self._account.read("glue", "list_data_quality_results", MaxResults=100, **asked)
            page = told(answer, _Page, self._account.where)
            ids += [listed.result_id for listed in page.results]
            if not page.next_token:
                return ids
            asked["NextToken"] = page.next_token
        words = f"{self._account.where}: more than {MAX_PAGES * 100:,} results of data quality"
        raise BackendError("config", words, fix="a shorter `window`")

    async def _results(self, ids: Sequence[str]) -> list[_Result]:
        if len(self._known) > MAX_KEPT:
            self._known = {key: each for key, each in self._known.items() if key in set(ids)}
        new = [each for each in ids if each not in self._known]
        for begin in range(0, len(new), AT_ONCE * 4):
            parts = [new[at : at + AT_ONCE] for at in range(begin, min(begin + AT_ONCE * 4, len(new)), AT_ONCE)]
            answers = await together(
                *(self._account.read("glue", "batch_get_data_quality_result", ResultIds=part) for part in parts)
            )
            for answer in answers:
                for result in told(answer, _Results, self._account.where).results:
                    self._known[result.result_id] = result
        return [self._known[each] for each in ids if each in self._known]

    def _score(self, dataset: str, group: Sequence[_Result], now: datetime) -> QualityScore:
        last = _newest(group)
        failed = [rule.failed for rule in last.rule_results if rule.result == "FAIL"]
        errors = [rule.failed for rule in last.rule_results if rule.result not in ("PASS", "FAIL")]
        rows = [{"score": result.score, "evaluated_at": _at(result)} for result in group if result is not last]
        counts = {"passed": sum(rule.result == "PASS" for rule in last.rule_results), "total": len(last.rule_results)}
        newest = {
            "score": last.score, "evaluated_at": _at(last), "failures": as_column(failed), "run_ref": self._run(last),
            **(counts if last.rule_results else {}),
        }  # fmt: skip
        score = score_of(self._name, dataset, [*rows, newest], self._limits, now)
        suite = clean(last.ruleset_name, 200)
        ref = "/".join(filter(None, (self._name, dataset, suite)))
        return replace(score, ref=ref, suite=suite, errors=tuple(errors[:MAX_FAILURES]))

    def _run(self, result: _Result) -> str:
        if not self._config.pipelines or not result.job_run_id:
            return ""
        # Who may not ask, or got no answer, has Glue's own id, by which a run is found as well.
        run_id = self._run_ids.get(result.job_run) or _own_id(result.job_run_id)
        return f"{self._config.pipelines}/{identifier(result.job_name)}/{identifier(run_id)}"

    async def _name_runs(self, results: Sequence[_Result]) -> None:
        """What the pipelines entry calls the runs that these are of: one that was started from here has an id of its
        own, and attempts are one run."""
        if not self._config.pipelines:
            return
        of = {result.job_run for result in results if result.job_run_id}
        self._run_ids = {key: each for key, each in self._run_ids.items() if key in of}
        new = sorted(of - self._run_ids.keys())
        await few_at_a_time(SIDE_BY_SIDE, (partial(self._name_run, *each) for each in new))

    async def _name_run(self, job: str, attempt: str) -> None:
        try:
            answer = await self._account.read("glue", "get_job_run", JobName=job, RunId=attempt)
            self._run_ids[job, attempt] = Run((told(answer, OneRun, self._account.where).job_run,)).run_id
        except BackendError as error:
            if error.kind == "not_found":  # Glue keeps it for 90 days
                self._run_ids[job, attempt] = _own_id(attempt)


def _own_id(attempt: str) -> str:
    """Glue's, of the run that it is an attempt of."""
    return Run((JobRun(attempt, ""),)).run_id


def _newest(group: Sequence[_Result]) -> _Result:
    return max(group, key=lambda result: (_at(result) or datetime.min.replace(tzinfo=UTC), result.result_id))


def _at(result: _Result) -> datetime | None:
    at = result.completed_on or result.started_on
    return at.astimezone(UTC) if at else None
