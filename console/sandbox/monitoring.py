"""The tasks of `monitoring_and_alerting`: look at the platform from outside, keep what was seen in the warehouse."""

import time
from datetime import UTC, datetime

from console.sandbox import files
from console.sandbox.fetch import fetch
from console.sandbox.job import Job, TaskFailed
from console.sandbox.rules import RULES

MIN_REQUESTS = 20  # one error among three requests is no error rate


def check_system_health(job: Job) -> None:
    """Ask the router and both colors for their health."""
    ports = job.ports()
    for name in ("router", *files.COLORS):
        started = time.perf_counter()
        try:
            status, _, body = fetch(ports[name], "/health")
            detail = f"{status} {body[:200].decode('utf-8', 'replace')}"
        except OSError as error:
            status, detail = 0, error.strerror or str(error)
        took_ms = (time.perf_counter() - started) * 1000
        job.log("INFO" if status == 200 else "ERROR", f"{name} {detail} {took_ms:.0f}ms", shared=status != 200)
        if name == "router" and status == 0:
            raise TaskFailed(f"the router on 127.0.0.1:{ports[name]} does not answer: {detail}")


def monitor_data_freshness(job: Job) -> None:
    """How old is what the marts say."""
    now = datetime.now(UTC)
    # All rows are read before the first is written: a reader that turns writer fails at once when another one wrote.
    for row in job.connection().execute("SELECT * FROM dataset_freshness ORDER BY dataset").fetchall():
        age_s = (now - datetime.fromisoformat(row["loaded_at"])).total_seconds()
        job.log("INFO" if age_s < 600 else "WARN", f"{row['dataset']}: {row['rows']} rows, {age_s:.0f} s old")
        _keep(job, f"freshness_{row['dataset']}_s", age_s)


def collect_quality_metrics(job: Job) -> None:
    """The newest score of each dataset, and how the last runs ended."""
    for row in job.connection().execute("SELECT dataset, score FROM latest_quality ORDER BY dataset").fetchall():
        job.log("WARN" if row["score"] < 0.95 else "INFO", f"{row['dataset']}: score {row['score']:.3f}")
        _keep(job, f"data_quality_score_{row['dataset']}", row["score"])
    query = "SELECT pipeline, state, count(*) AS runs FROM pipeline_runs GROUP BY pipeline, state"
    for row in job.connection().execute(query).fetchall():
        job.log("INFO", f"{row['pipeline']}: {row['runs']} {row['state']}")
    job.trim("platform_metrics", 10_000)


def monitor_performance(job: Job) -> None:
    """Read each color's counters; what lies between two readings is the error rate and the mean latency."""
    for color in files.COLORS:
        query = "SELECT * FROM service_metrics WHERE color = ? AND up = 1 ORDER BY id DESC LIMIT 1"
        before = job.connection().execute(query, (color,)).fetchone()
        try:
            status, _, body = fetch(job.ports()[color], "/metrics")
        except OSError as error:
            status, body = 0, str(error).encode()
        if status != 200:
            job.log("ERROR", f"{color}: no metrics: {body[:200].decode('utf-8', 'replace')}")
            _keep_service(job, color, 0, (0, 0, 0.0), None, None)
            continue
        requests, errors, seconds = _counters(body.decode("utf-8", "replace"))
        last = (before["requests"], before["errors"], before["seconds"]) if before is not None else (0, 0, 0.0)
        if requests < last[0]:
            last = (0, 0, 0.0)  # it was restarted: its counters began anew
        new = requests - last[0]
        enough = new >= MIN_REQUESTS
        error_pct = round(100 * (errors - last[1]) / new, 2) if enough else None
        latency_ms = round(1000 * (seconds - last[2]) / new, 1) if enough else None
        _keep_service(job, color, 1, (requests, errors, seconds), error_pct, latency_ms)
        job.log("INFO", f"{color}: {new} requests, {errors - last[1]} errors, mean {latency_ms or '–'} ms")
    job.trim("service_metrics", 5000)


def generate_alerts(job: Job) -> None:
    """Evaluate the rules once, so that the log says what fired; who is told is for the console's own evaluation."""
    fired = 0
    for rule in RULES:
        for row in job.connection().execute(rule["query"]).fetchall():
            fired += 1
            labels = " ".join(f"{key}={row[key]}" for key in row.keys() if key != "value")  # noqa: SIM118 - a Row
            job.log("WARN", f"{rule['name']} {labels}: {rule['summary'].format(**dict(row))}", shared=True)
    job.log("INFO", f"{len(RULES)} rules, {fired} alerts")


def _counters(exposition: str) -> tuple[int, int, float]:
    requests, errors, seconds = 0, 0, 0.0
    for line in exposition.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("http_requests_total{"):
            requests += int(value)
            errors += int(value) if 'status="5' in name else 0
        elif name.startswith("http_request_duration_seconds_sum"):
            seconds = float(value)
    return requests, errors, seconds


def _keep_service(
    job: Job, color: str, up: int, counters: tuple[int, int, float], error_pct: float | None, latency_ms: float | None
) -> None:
    job.connection().execute(
        "INSERT INTO service_metrics (at, color, up, requests, errors, seconds, error_pct, latency_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (files.now_text(), color, up, *counters, error_pct, latency_ms),
    )


def _keep(job: Job, name: str, value: float) -> None:
    job.connection().execute("INSERT INTO platform_metrics VALUES (?, ?, ?)", (files.now_text(), name, value))
