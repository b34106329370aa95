"""SARIF 2, as bandit, trivy, snyk, CodeQL … write it: results by level.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html (§3.27: level, kind, suppressions).
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from backends.checks.report.found import Count, Report, example, said_at
from backends.errors import BackendError
from backends.http import decode_json
from backends.text import clean, counted

LEVELS = ("error", "warning", "note")
_ACCEPTED = ("", "accepted")


class _Configuration(Struct, frozen=True):
    level: str = "warning"


class _Rule(Struct, frozen=True, rename="camel"):
    id: str = ""
    default_configuration: _Configuration = _Configuration()


class _Component(Struct, frozen=True):
    rules: list[_Rule] = []


class _Tool(Struct, frozen=True):
    driver: _Component
    extensions: list[_Component] = []


class _Suppression(Struct, frozen=True):
    status: str = ""


class _Reference(Struct, frozen=True):
    id: str = ""
    index: int = -1


class _Result(Struct, frozen=True, rename="camel"):
    rule_id: str = ""
    rule_index: int = -1
    rule: _Reference = _Reference()
    level: str = ""
    kind: str = "fail"
    baseline_state: str = ""
    suppressions: list[_Suppression] = []

    @property
    def counts(self) -> bool:
        """Whether it is there, and nobody has accepted it."""
        is_accepted = bool(self.suppressions) and all(each.status in _ACCEPTED for each in self.suppressions)
        return self.baseline_state != "absent" and not is_accepted


class _Invocation(Struct, frozen=True, rename="camel"):
    execution_successful: bool = True
    end_time_utc: str = ""


class _Run(Struct, frozen=True):
    tool: _Tool
    results: list[_Result] | None = None
    invocations: list[_Invocation] = []


class _Log(Struct, frozen=True):
    version: str
    runs: list[_Run]


def read(body: bytes) -> Report:
    """A tool that did not end well, or says nothing of results, proves nothing."""
    log = decode_json(body, _Log, where="SARIF")
    if not log.version.startswith("2."):
        raise BackendError("malformed", f"SARIF of version {clean(log.version, 20)}, where 2 is read")
    found: dict[str, list[str]] = {level: [] for level in LEVELS}
    odd = [] if log.runs else ["no tool ran"]
    for run in log.runs:
        if run.results is None:
            odd.append("a run without results")
        if not all(each.execution_successful for each in run.invocations):
            odd.append("the tool did not end well")
        rules = {rule.id: rule for each in (*run.tool.extensions, run.tool.driver) for rule in each.rules}
        for result in filter(lambda result: result.counts, run.results or []):
            level = _level(result, rules, run.tool.driver.rules)
            if level in found:
                found[level].append(result.rule_id or result.rule.id or "a rule without a name")
            elif level != "none":
                odd.append(f"a result of level {clean(level, 40)}")
    ends = [said_at(each.end_time_utc) for run in log.runs for each in run.invocations]
    return Report(
        summary=counted(sum(map(len, found.values())), "result"),
        counts=tuple(
            Count(level, len(names), counted(len(names), level) + example(names)) for level, names in found.items()
        ),
        made_at=min(filter(None, ends), default=None),
        unjudged=odd[0] if odd else "",
    )


def _level(result: _Result, by_id: Mapping[str, _Rule], in_order: Sequence[_Rule]) -> str:
    if result.kind != "fail":
        return "none"
    if result.level:
        return result.level
    name, index = result.rule_id or result.rule.id, max(result.rule_index, result.rule.index)
    rule = by_id.get(name) or by_id.get(name.rpartition("/")[0]) if name else None
    if not name and 0 <= index < len(in_order):
        rule = in_order[index]
    return rule.default_configuration.level if rule is not None else "warning"
