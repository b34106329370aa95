"""Gates: what a stage of a release is judged by. Their config, the presets, and the queries of one release.

A gate asks one number of the candidate, the same of production, and how many requests both are made of. A `share` is
the part of the requests that went wrong (0..1): judged with the room that chance needs, as `judge` says. Anything else,
say seconds, is compared as it is.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from backends.errors import BackendError
from backends.settings import Duration, decode_hook

Unit = Literal["", "share", "s"]
PRESET_WINDOW_S = 60.0
LONGEST_EVERY_S = 10.0
PRESETS = ("error-rate", "latency-p95", "alb-error-rate", "alb-latency-p95", "alb-5xx")
ALB_WINDOW_S = 120.0  # CloudWatch has a value a minute, and has it late

_PLACE = re.compile(r"\{(color|version|url|service|target_group|load_balancer)\}")
_UNSAFE = re.compile(r"[\"'`\\\x00-\x1f\x7f]")


class MetricGate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One metric gate as the config has it; queries are in the language of the source that `metrics` names. All limits
    that are given must hold. Raises ValueError for a gate that could not fail.

    name: what it is called.
    candidate: the query of the number that is judged, with templates.
    metrics: the metrics entry that is asked; by default the deployment's.
    production: the same of production; by default `candidate` for production's color.
    requests: the query of how many requests the number is made of.
    on_no_data: `zero`: no series at all means none, only with `requests`.
    unit: `share` where the value is a part of the requests, by default where `on_no_data` is `zero` or `max_increase`
        is the relative limit; `s` for seconds.
    max: the greatest value.
    max_increase: how much it may be above production's.
    max_ratio: how many times production's it may be.
    min_requests: fewer in a window are joined with the windows before it; requests of the action itself do not count.
    window: how far back the queries look: samples less than that apart share requests.
    every: between two samples; by default a quarter of `stage_time`, at most 10 s.
    hold: how long missing evidence is borne below 100 % before traffic goes back.
    dry_run: measured and shown, never counted.
    """

    name: str
    candidate: str
    metrics: str = ""
    production: str = ""
    requests: str = ""
    on_no_data: Literal["inconclusive", "zero"] = "inconclusive"
    unit: Unit | None = None
    max: float | None = None
    max_increase: float | None = None
    max_ratio: float | None = None
    min_requests: int = 50
    window: Duration = Duration(PRESET_WINDOW_S)
    every: Duration | None = None
    hold: Duration = Duration(600)
    dry_run: bool = False

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise ValueError(problem)

    @property
    def is_share(self) -> bool:
        """Whether its value counts requests that went wrong: then chance is reckoned with."""
        if self.unit is not None or not self.requests:
            return self.unit == "share"
        return self.on_no_data == "zero" or (self.max_increase is not None and self.max_ratio is None)

    @property
    def is_relative(self) -> bool:
        """Whether it needs production to be judged."""
        return self.max_increase is not None or self.max_ratio is not None

    def every_s(self, stage_time_s: float) -> float:
        """Seconds between two samples: by default a quarter of the stage, at most 10 s."""
        return float(self.every) if self.every is not None else min(LONGEST_EVERY_S, stage_time_s / 4)


class Queries(Struct, frozen=True):
    """What one gate asks in one release; empty where it does not ask."""

    candidate: str
    production: str
    requests: str
    production_requests: str


class Subject(Struct, frozen=True, kw_only=True):
    """What the templates are filled with. `url`: the base URL of the color that is meant; `target_group` and
    `load_balancer`: as CloudWatch calls them, where it is behind one."""

    service: str
    color: str
    version: str = ""
    url: str = ""
    target_group: str = ""
    load_balancer: str = ""


def gates_of(
    written: Sequence[Mapping[str, Any]],
    presets: Sequence[str],
    *,
    stage_time_s: float,
    metrics: str = "",
    labels: Mapping[str, str] | None = None,
) -> tuple[MetricGate, ...]:
    """The gates of a deployment: its presets, then those written out. Raises BackendError(config) with the path.

    `labels` are the matchers of the presets, templates as in a query: `{ color = "{color}", service = "{service}" }`.
    """
    found = [_preset(name, stage_time_s, labels or {"color": "{color}"}) for name in presets]
    for index, table in enumerate(written):
        try:
            found.append(msgspec.convert(table, MetricGate, dec_hook=decode_hook))
        except msgspec.ValidationError as error:
            message, _, inside = str(error).partition(" - at `$")
            raise BackendError("config", f"gates[{index}]{inside.rstrip('`')}: {message}") from None
    names = [gate.name for gate in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BackendError("config", f'gates: two are called "{twice}"', fix="give one of them another name")
    nowhere = next((gate.name for gate in found if not (gate.metrics or metrics)), None)
    if nowhere is not None:
        fix = 'metrics = "NAME" of the deployment or the gate, NAME one of the context\'s `metrics`'
        raise BackendError("config", f'gates: "{nowhere}" names no metrics source', fix=fix)
    return tuple(msgspec.structs.replace(gate, metrics=gate.metrics or metrics) for gate in found)


def queries(gate: MetricGate, candidate: Subject, production: Subject) -> Queries:
    """What `gate` asks of these two sides. Raises BackendError(config) for a version that no query can hold."""
    theirs = gate.production or gate.candidate
    return Queries(
        candidate=render(gate.candidate, candidate),
        production=render(theirs, production) if gate.is_relative else "",
        requests=render(gate.requests, candidate),
        production_requests=render(gate.requests, production) if gate.is_relative else "",
    )


def render(template: str, subject: Subject) -> str:
    """`template` with exactly {color} {version} {url} {service} {target_group} {load_balancer} replaced; other braces
    stay, as PromQL's."""

    def value(match: re.Match[str]) -> str:
        found: str = getattr(subject, match[1])
        if not found and match[1] in ("target_group", "load_balancer"):
            words = f"a gate names {match[0]}, and the deployment has no `target_groups` and `rules`"
            raise BackendError("config", words, fix="the presets alb-… are for what is behind a load balancer of AWS")
        if _UNSAFE.search(found):
            # A quote would end the string of the query that it stands in, and the rest would be query.
            raise BackendError("config", f"{match[1]} {found!r} cannot stand in a query", fix="no quotes, no backslash")
        return found

    return _PLACE.sub(value, template)


def _preset(name: str, stage_time_s: float, labels: Mapping[str, str]) -> MetricGate:
    """Limits: 5 % and 2 points over production; a p95 of 2 s, where people are paged (its SLO is 500 ms), and
    1.5 times production's."""
    # Half a short stage: three passes whose windows lie in the stage must fit into it.
    window = Duration(max(1.0, min(PRESET_WINDOW_S, stage_time_s / 2)))
    over, side = _promql_seconds(window), ",".join(f'{label}="{value}"' for label, value in labels.items())
    if name == "error-rate":
        total = f"http_requests_total{{{side}}}[{over}]"
        failed = f'http_requests_total{{{side},status=~"5.."}}[{over}]'
        return MetricGate(
            name=name, candidate=f"sum(rate({failed})) / sum(rate({total}))", requests=f"sum(increase({total}))",
            on_no_data="zero", unit="share", max=0.05, max_increase=0.02, window=window,
        )  # fmt: skip
    if name == "latency-p95":
        seconds = "http_request_duration_seconds"
        return MetricGate(
            name=name,
            candidate=f"histogram_quantile(0.95, sum by (le) (rate({seconds}_bucket{{{side}}}[{over}])))",
            requests=f"sum(increase({seconds}_count{{{side}}}[{over}]))",
            unit="s", max=2.0, max_ratio=1.5, window=window,
        )  # fmt: skip
    if name in PRESETS:
        return _alb_preset(name)
    raise BackendError("config", f'presets: no "{name}"', fix=f"use one of: {', '.join(PRESETS)}")


def _alb_preset(name: str) -> MetricGate:
    """What a load balancer counts of a target group, in CloudWatch: the errors of a side are what its targets answer
    and the connections that they refuse. What the load balancer itself answers for is of no side, and judged as one
    number. A period without requests is no data, never zero errors."""
    side = '{LoadBalancer="{load_balancer}", TargetGroup="{target_group}"}'
    window, every = Duration(ALB_WINDOW_S), Duration(60)

    def metric(what: str, statistic: str = "Sum", of: str = side) -> str:
        return f"AWS/ApplicationELB:{what}{of}.{statistic}[2m]"

    requests = metric("RequestCount")
    if name == "alb-error-rate":
        errors = ("HTTPCode_Target_5XX_Count", "TargetConnectionErrorCount")
        failed = " + ".join(f"({metric(what)} or 0)" for what in errors)
        return MetricGate(
            name=name, candidate=f"({failed}) / {requests}", requests=requests, unit="share", max=0.05,
            max_increase=0.02, window=window, every=every,
        )  # fmt: skip
    if name == "alb-latency-p95":
        return MetricGate(
            name=name, candidate=metric("TargetResponseTime", "p95"), requests=requests, unit="s", max=2.0,
            max_ratio=1.5, window=window, every=every,
        )  # fmt: skip
    whole = '{LoadBalancer="{load_balancer}"}'
    asked = metric("RequestCount", of=whole)
    return MetricGate(
        name=name, candidate=f"({metric('HTTPCode_ELB_5XX_Count', of=whole)} or 0) / {asked}", requests=asked,
        unit="share", max=0.05, window=window, every=every,
    )  # fmt: skip


def _promql_seconds(window: Duration) -> str:
    return f"{float(window) * 1000:.0f}ms"


def _problem(gate: MetricGate) -> str:
    limits = {"max": gate.max, "max_increase": gate.max_increase, "max_ratio": gate.max_ratio}
    given = {name: limit for name, limit in limits.items() if limit is not None}
    if not given:
        return "a gate without a limit cannot fail: give it max, max_increase or max_ratio"
    for name, limit in given.items():
        if not 0 <= limit < float("inf"):
            return f"{name}: {limit:g} is no limit"
    if gate.is_share and any(limit > 1 for name, limit in given.items() if name != "max_ratio"):
        return "its value is a share of the requests, 0 to 1: 5 % is 0.05"
    if not gate.name.strip() or not gate.candidate.strip():
        return "a gate needs a name and a query"
    if gate.on_no_data == "zero" and not gate.requests:
        return 'on_no_data = "zero" needs `requests`: else nobody can tell no errors from no traffic'
    if gate.unit == "share" and not gate.requests:
        return 'unit = "share" needs `requests`: a share of how many?'
    if gate.is_relative and not gate.production and not _PLACE.search(gate.candidate):
        return "production's query would be the candidate's: name {color} in it, or write `production`"
    if gate.window <= 0 or (gate.every is not None and gate.every <= 0):
        return "window and every: more than 0s"
    return "min_requests: at least 1" if gate.min_requests < 1 else ""
