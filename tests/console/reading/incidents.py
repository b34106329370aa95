"""Incidents with a known cause, made from a seed: a small data platform in which one thing breaks, and what its
monitoring then shows of it, a little late, a little incomplete, beside what is always red.

It knows nothing of how the console folds them. A new schema, a bad release, a dead warehouse, a late source and a quota
spread as they do in such platforms: along what reads what, with the delays of schedules, scrapes and pagers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from backends.models import (
    Alert,
    CheckResult,
    Freshness,
    Incident,
    PipelineRun,
    QualityScore,
    TimelineEvent,
    TrendPoint,
)
from console.ports.links import LinkRow, Links

NOW = datetime(2026, 11, 30, 14, 0, tzinfo=UTC)
DOMAINS = ("orders", "payments", "customers", "inventory", "clicks", "shipments")
SERVICES = ("analytics", "fraud-model", "checkout-api", "pricing", "recommender", "reports", "search")
MARTS = ("revenue", "churn", "fraud_features", "stock_levels", "customer_360", "attribution", "margin")
WAREHOUSE = "wh.internal:5432"


@dataclass
class Pipeline:
    """What reads `reads`, writes `writes`, in the system `backend`."""

    name: str
    backend: str
    reads: list[str]
    writes: list[str]
    services: list[str] = field(default_factory=list)


@dataclass
class Truth:
    """What broke (any of these refs names it) and all that shows it."""

    kind: str
    causes: set[str] = field(default_factory=set)
    members: set[str] = field(default_factory=set)


@dataclass
class Seeded:
    """One incident: what is not well, what happened before, and the truth."""

    seed: int
    links: Links
    now: datetime
    things: list[Any]
    scores: list[QualityScore]
    events: list[TimelineEvent]
    truths: list[Truth]


class World:
    """A platform of sources, pipelines, datasets and services, and what is seen of it."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.things: dict[str, Any] = {}
        self.events: list[TimelineEvent] = []
        self.pipelines: dict[str, Pipeline] = {}
        self._opaque = self.random.random() < 0.2
        self._build()

    def _build(self) -> None:
        chosen = self.random.sample(DOMAINS, self.random.randint(4, 6))
        for domain in chosen:
            self._add(f"ingest_{domain}", "airflow", [], [f"raw_{domain}"])
            self._add(f"clean_{domain}", self.random.choice(["airflow", "glue"]), [f"raw_{domain}"], [domain])
        for mart in self.random.sample(MARTS, self.random.randint(3, 6)):
            reads = self.random.sample(chosen, self.random.randint(1, 2))
            services = self.random.sample(SERVICES, self.random.randint(0, 2))
            self._add(f"build_{mart}", self.random.choice(["airflow", "glue"]), reads, [mart], services)
        self.lineage_known = {
            name: self.random.random() < 0.75 for each in self.pipelines.values() for name in each.writes
        }

    def _called(self, name: str) -> str:
        """As people call it, or, in some houses, a name that says nothing."""
        return f"t{sum(map(ord, name)) * 7919 % 9973:04d}" if self._opaque else name

    def _add(self, name: str, backend: str, reads: list[str], writes: list[str], services: Sequence[str] = ()) -> None:
        name, reads, writes = self._called(name), list(map(self._called, reads)), list(map(self._called, writes))
        self.pipelines[name] = Pipeline(name, backend, reads, writes, list(services))

    def links(self) -> Links:
        """What somebody has written down: nearly all of it."""
        rows = [
            LinkRow(pipeline=each.name, datasets=tuple(each.writes), services=tuple(each.services), owner="data")
            for each in self.pipelines.values() if self.random.random() < 0.95
        ]  # fmt: skip
        return Links(rows=tuple(rows))

    def scores(self) -> list[QualityScore]:
        """Of all datasets, good ones too: they know what is made of them."""
        made = {each.dataset: each for each in self.things.values() if isinstance(each, QualityScore)}
        for pipeline in self.pipelines.values():
            for name in pipeline.writes:
                readers = tuple(below for reader in self.readers(name) for below in reader.writes)
                made.setdefault(name, QualityScore(
                    ref=f"gx/{name}", backend="gx", dataset=name, score=0.99, warn=0.95, crit=0.8, state="ok",
                    evaluated_at=NOW - self.minutes(1, 30), downstream=readers if self.lineage_known.get(name) else (),
                ))  # fmt: skip
        return list(made.values())

    def readers(self, dataset: str) -> list[Pipeline]:
        """Who reads it."""
        return [each for each in self.pipelines.values() if dataset in each.reads]

    def minutes(self, least: float, most: float) -> timedelta:
        """Some time between the two."""
        return timedelta(minutes=self.random.uniform(least, most))

    def happens(self, share: float) -> bool:
        """So often."""
        return self.random.random() < share

    # ---- what is seen

    def show(self, item: Any, truth: Truth | None = None) -> str:
        """It is on the screen, if it has begun by now."""
        at = getattr(item, "since", None) or getattr(item, "ended_at", None) or getattr(item, "evaluated_at", None)
        if at is not None and at > NOW:
            return ""
        self.things[item.ref] = item
        if truth is not None:
            truth.members.add(item.ref)
        return str(item.ref)

    def fails(self, pipeline: Pipeline, at: datetime, error: str, truth: Truth) -> str:
        """A run ends badly; it is alerted a little later, and somebody may be paged."""
        number = self.random.randint(100, 9999)
        ref = self.show(
            PipelineRun(
                ref=f"{pipeline.backend}/{pipeline.name}/{number}", backend=pipeline.backend, pipeline=pipeline.name,
                run_id=str(number), state="failed", started_at=at - self.minutes(1, 12), ended_at=at, error=error,
            ),
            truth,
        )  # fmt: skip
        if ref and self.happens(0.75):
            label = "dag_id" if pipeline.backend == "airflow" and self.happens(0.5) else "pipeline"
            self.alert(
                "PipelineFailed", {label: pipeline.name}, at + self.minutes(0.3, 3), truth, f"{pipeline.name} failed"
            )
        return ref

    def late(self, pipeline: Pipeline, started: datetime, truth: Truth) -> str:
        """A run that takes too long."""
        ref = f"{pipeline.backend}/{pipeline.name}/late"
        return self.show(
            PipelineRun(
                ref=ref, backend=pipeline.backend, pipeline=pipeline.name, run_id="late", state="running",
                started_at=started, duration_s=(NOW - started).total_seconds(), usual_s=600.0, late=True,
            ),
            truth,
        )  # fmt: skip

    def falls(self, dataset: str, at: datetime, truth: Truth, *, stale: bool = False) -> str:
        """Its score falls when it is measured next, or it is too old."""
        measured = at + self.minutes(0.2, 12)
        readers = [name for reader in self.readers(dataset) for name in reader.writes]
        score = self.random.uniform(0.3, 0.75)
        old = measured - self.minutes(20, 60)
        ref = self.show(
            QualityScore(
                ref=f"gx/{dataset}", backend="gx", dataset=dataset, score=None if stale else score, warn=0.95, crit=0.8,
                state="warning" if stale else "critical", evaluated_at=measured,
                trend=() if stale else (TrendPoint(old, 0.99), TrendPoint(measured, score)),
                freshness=Freshness(state="critical", loaded_at=at - self.minutes(60, 300)) if stale else None,
                reason="the newest row is too old" if stale else None,
                downstream=tuple(readers) if self.lineage_known.get(dataset) else (),
            ),
            truth,
        )  # fmt: skip
        if ref and self.happens(0.7):
            name = "DataTooOld" if stale else "DataQualityDegradation"
            self.alert(name, {"dataset": dataset}, measured + self.minutes(0.5, 4), truth, f"{dataset} below its limit")
        return ref

    def alert(
        self,
        name: str,
        labels: dict[str, str],
        at: datetime,
        truth: Truth | None,
        summary: str,
        severity: str = "critical",
    ) -> str:
        """It fires, and may page somebody: then the incident has the labels that the alert came with."""
        key = f"{name}-{'-'.join(labels.values())}"
        ref = self.show(
            Alert(
                ref=f"alertmanager/{key}", backend="alertmanager", fingerprint=key, name=name, severity=severity,
                state="firing", since=at, labels={"alertname": name, "severity": severity, **labels}, summary=summary,
            ),
            truth,
        )  # fmt: skip
        if ref and severity == "critical" and self.happens(0.35):
            self.show(
                Alert(
                    ref=f"pagerduty/{key}", backend="pagerduty", fingerprint=key, name=name, severity=severity,
                    state="firing", since=at + self.minutes(0.2, 2), summary=summary,
                    labels={"service": "data-oncall", "alertname": name, **labels},
                    incident=Incident(id=key, service="data-oncall"),
                ),
                truth,
            )  # fmt: skip
        return ref

    def happened(self, at: datetime, kind: str, ref: str, text: str) -> str:
        """It is in the timeline."""
        if at <= NOW:
            self.events.append(TimelineEvent(at=at, kind=kind, ref=ref, text=text))
        return ref

    def spreads(self, dataset: str, at: datetime, truth: Truth, error: Callable[[str], str], depth: int = 0) -> None:
        """Bad data reaches who reads it, each at its next run: it fails, or it writes what is bad as well."""
        for reader in self.readers(dataset):
            if not self.happens(0.85):
                continue
            then = at + self.minutes(3, 25)
            if self.happens(0.55):
                self.fails(reader, then, error(dataset), truth)
                for name in reader.writes:
                    if self.happens(0.4):
                        self.falls(name, then + self.minutes(5, 30), truth, stale=True)
            else:
                for name in reader.writes:
                    self.falls(name, then, truth)
                    self.spreads(name, then, truth, error, depth + 1)
            for service in reader.services:
                if self.happens(0.5):
                    self.suffers(service, then + self.minutes(1, 15), truth)

    def suffers(self, service: str, at: datetime, truth: Truth) -> None:
        """A service answers badly."""
        what = self.random.choice(
            [
                ("HighErrorRate", "5xx above 5 %"),
                ("HighLatency", "p95 above 800 ms"),
                ("BadPredictions", "scores drift"),
            ]
        )
        self.alert(what[0], {"service": service}, at, truth, f"{service}: {what[1]}")
        if self.happens(0.3):
            self.show(CheckResult(ref=f"checks/{service}", name=service, state="critical", message="HTTP 503"), truth)


def _schema(world: World) -> Truth:
    """A column is renamed upstream: by a change of code that is in the timeline, or by somebody else."""
    truth = Truth("schema")
    begins = NOW - world.minutes(35, 110)
    ingest = world.random.choice([each for each in world.pipelines.values() if not each.reads])
    raw = ingest.writes[0]

    def error(dataset: str) -> str:
        return f'column "amount_eur" not found in {dataset}'

    merged = world.happens(0.5)
    if merged:
        ref = world.happened(
            begins - world.minutes(2, 25),
            "dag_version",
            f"airflow/{ingest.name}",
            f"{ingest.name} has new code: version 7, 3f2a91c",
        )
        truth.causes.add(ref)
    if world.happens(0.6):
        ref = world.fails(ingest, begins, 'UndefinedColumn: column "amount_eur" does not exist', truth)
        if world.happens(0.6):
            world.falls(raw, begins + world.minutes(1, 5), truth, stale=True)
    else:
        ref = world.falls(raw, begins, truth)
    if not merged:
        truth.causes.add(ref)
    world.spreads(raw, begins, truth, error)
    return truth


def _release(world: World) -> Truth:
    """A release breaks a service, and what asks it."""
    truth = Truth("release")
    used = sorted({name for each in world.pipelines.values() for name in each.services}) or list(SERVICES)
    service = world.random.choice(used)
    begins = NOW - world.minutes(15, 80)
    released = begins - world.minutes(1, 18)
    truth.causes.add(
        world.happened(released, "action", "act-7f3", f"release {service} 2.4.1 BLUE → GREEN succeeded by alice")
    )
    if world.happens(0.4):
        world.happened(
            released - world.minutes(0.5, 2),
            "action",
            "act-7f3",
            f"release {service} 2.4.1: traffic moved: GREEN 100 %",
        )
    for name, words in world.random.sample(
        [
            ("HighErrorRate", "5xx above 5 %"),
            ("HighLatency", "p95 above 800 ms"),
            ("PodCrashLooping", "back-off"),
            ("SLOBurnRate", "burns 14x"),
        ],
        world.random.randint(2, 4),
    ):
        world.alert(name, {"service": service}, begins + world.minutes(0, 9), truth, f"{service}: {words}")
    for number in range(world.random.randint(0, 12)):
        world.alert(
            "InstanceDown",
            {"service": service, "instance": f"10.0.0.{number}:8080"},
            begins + world.minutes(0, 6),
            truth,
            "down",
        )
    if world.happens(0.6):
        world.show(CheckResult(ref=f"checks/{service}", name=service, state="critical", message="HTTP 502"), truth)
    return truth


def _warehouse(world: World) -> Truth:
    """The warehouse is gone: all that runs then fails, wherever it stands."""
    truth = Truth("warehouse")
    begins = NOW - world.minutes(15, 60)
    seen = world.random.random()
    if seen < 0.75:
        truth.causes.add(
            world.show(
                CheckResult(
                    ref="checks/warehouse",
                    name="warehouse",
                    state="critical",
                    message=f"connection refused by {WAREHOUSE}",
                ),
                truth,
            )
        )
    if seen > 0.4:
        truth.causes.add(
            world.alert(
                "PostgresDown", {"instance": WAREHOUSE}, begins + world.minutes(0.2, 2), truth, f"{WAREHOUSE} is down"
            )
        )
    for pipeline in world.random.sample(
        list(world.pipelines.values()), world.random.randint(5, len(world.pipelines) - 2)
    ):
        at = begins + world.minutes(0.5, 14)
        words = world.random.choice(
            [
                f'could not connect to server: Connection refused, is it running on "{WAREHOUSE}"?',
                'connection to server at "wh.internal", port 5432 failed: Connection refused',
                "OperationalError: server closed the connection unexpectedly",
            ]
        )
        world.fails(pipeline, at, words, truth)
        for service in pipeline.services:
            if world.happens(0.3):
                world.suffers(service, at + world.minutes(1, 10), truth)
    return truth


def _late(world: World) -> Truth:
    """A source delivers too late: what reads it waits, and what is made of it grows old."""
    truth = Truth("late")
    begins = NOW - world.minutes(60, 180)
    ingest = world.random.choice([each for each in world.pipelines.values() if not each.reads])
    if world.happens(0.55):
        truth.causes.add(world.late(ingest, begins, truth))
        world.falls(ingest.writes[0], begins + world.minutes(10, 25), truth, stale=True)
    else:
        truth.causes.add(world.falls(ingest.writes[0], begins, truth, stale=True))
    queue = [(ingest.writes[0], begins + world.minutes(12, 25))]
    while queue:
        dataset, at = queue.pop()
        for reader in world.readers(dataset):
            then = at + world.minutes(4, 20)
            if world.happens(0.5):
                world.late(reader, then, truth)
            for name in reader.writes:
                if world.happens(0.8):
                    world.falls(name, then + world.minutes(2, 20), truth, stale=True)
                queue.append((name, then))
            for service in reader.services:
                if world.happens(0.3):
                    world.alert(
                        "StaleAnswers",
                        {"service": service},
                        then + world.minutes(5, 20),
                        truth,
                        f"{service} answers with old data",
                        "warning",
                    )
    return truth


def _quota(world: World) -> Truth:
    """The account has used up what it may: whatever starts is refused."""
    truth = Truth("quota")
    begins = NOW - world.minutes(15, 70)
    said = world.random.random()
    if said < 0.4:
        truth.causes.add(
            world.alert(
                "ComputeQuotaExceeded",
                {"project": "analytics-prod"},
                begins - world.minutes(0, 4),
                truth,
                "quota of concurrent jobs is used up",
            )
        )
    elif said < 0.65:
        truth.causes.add(
            world.show(
                CheckResult(
                    ref="checks/quota", name="quota", state="critical", message="320 of 320 slots, quota reached"
                ),
                truth,
            )
        )
    failed = []
    for pipeline in world.random.sample(
        list(world.pipelines.values()), world.random.randint(4, len(world.pipelines) - 3)
    ):
        at = begins + world.minutes(0, 16)
        failed.append(
            (
                at,
                world.fails(
                    pipeline,
                    at,
                    world.random.choice(
                        [
                            "ResourceExhausted: 429 quota exceeded: concurrent jobs",
                            "ConcurrentRunsExceededException: quota exceeded",
                        ]
                    ),
                    truth,
                ),
            )
        )
    if not truth.causes:
        truth.causes.add(min(failed)[1])
    return truth


KINDS: dict[str, Callable[[World], Truth]] = {
    "schema": _schema,
    "release": _release,
    "warehouse": _warehouse,
    "late": _late,
    "quota": _quota,
}
APART = (
    ("schema", "release"),
    ("late", "release"),
    ("quota", "release"),
    ("warehouse", "release"),
    ("schema", "quota"),
)
"""What two different people would be called for."""


def _noise(world: World) -> None:
    """What is always there: red since yesterday, releases of others, somebody who looks around."""
    if world.happens(0.7):
        pipeline = Pipeline("legacy_export", "airflow", [], [])
        world.fails(pipeline, NOW - timedelta(hours=20), "disk full", Truth("noise"))
    for number in range(world.random.randint(0, 5)):
        world.alert(
            "DiskWillFill", {"instance": f"node-{number}"}, NOW - world.minutes(5, 900), None, "in 4 days", "warning"
        )
    for service in world.random.sample(SERVICES, world.random.randint(0, 2)):
        world.happened(
            NOW - world.minutes(120, 300),
            "action",
            f"act-{service}",
            f"release {service} 1.9.0 BLUE → GREEN succeeded by bob",
        )
    if world.happens(0.35):
        service = world.random.choice(SERVICES)
        world.happened(
            NOW - world.minutes(5, 100),
            "action",
            f"act-near-{service}",
            f"flip {service} GREEN → BLUE succeeded by bob",
        )
    for pipeline in world.random.sample(list(world.pipelines.values()), 2):
        world.happened(
            NOW - world.minutes(1, 200),
            "trigger",
            f"{pipeline.backend}/{pipeline.name}/m1",
            f"mia triggered {pipeline.name} #m1",
        )
    if world.happens(0.5):
        world.happened(NOW - world.minutes(1, 60), "note", "note/7", "mia: looking at it")
    if world.happens(0.4):
        world.show(
            QualityScore(
                ref="gx/vendor_list",
                backend="gx",
                dataset="vendor_list",
                score=None,
                warn=0.9,
                crit=0.8,
                state="unknown",
                reason="no data",
            )
        )


def seeded(seed: int) -> Seeded:
    """The incident of that seed. Each sixth one is two causes at once."""
    world = World(seed)
    kinds = list(KINDS)
    wanted = (kinds[seed % 6],) if seed % 6 < len(kinds) else APART[(seed // 6) % len(APART)]
    truths = [KINDS[kind](world) for kind in wanted]
    _noise(world)
    for truth in truths:
        truth.causes.discard("")
    things = list(world.things.values())
    world.random.shuffle(things)
    return Seeded(
        seed, world.links(), NOW, things, world.scores(), sorted(world.events, key=lambda each: each.at), truths
    )
