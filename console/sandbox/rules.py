"""The alert rules of the sandbox: each row that a query returns is one alert, its columns are the labels."""

STALE_AFTER_S = 600
SLOW_RUN_S = 60

_AGE_S = "(julianday('now') - julianday({column})) * 86400"

RULES: list[dict[str, str]] = [
    {
        "name": "DataQualityDegradation",
        "severity": "critical",
        "query": "SELECT dataset, round(score, 2) AS value FROM latest_quality WHERE score < 0.8",
        "for": "0s",
        "summary": "score {value} below 0.8",
        "group": "quality",
    },
    {
        "name": "DataQualityWarning",
        "severity": "warning",
        "query": "SELECT dataset, round(score, 2) AS value FROM latest_quality WHERE score >= 0.8 AND score < 0.95",
        "for": "0s",
        "summary": "score {value} below 0.95",
        "group": "quality",
    },
    {
        # Fires while the newest run failed, so that a repaired pipeline is quiet again with its next run.
        "name": "PipelineFailureRate",
        "severity": "critical",
        "query": "WITH ended AS (SELECT pipeline, state,"
        " row_number() OVER (PARTITION BY pipeline ORDER BY ended_at DESC) AS place"
        " FROM pipeline_runs WHERE state IN ('success', 'failed'))"
        " SELECT pipeline, round(100.0 * sum(state = 'failed') / count(*)) AS value FROM ended WHERE place <= 5"
        " GROUP BY pipeline HAVING value > 10 AND max(place = 1 AND state = 'failed')",
        "for": "0s",
        "summary": "{value} % of the last runs failed",
        "group": "pipelines",
    },
    {
        "name": "ProcessingLatency",
        "severity": "warning",
        "query": "SELECT pipeline, round(duration_s) AS value FROM pipeline_runs r WHERE state = 'success' AND"
        " ended_at = (SELECT max(ended_at) FROM pipeline_runs WHERE pipeline = r.pipeline)"
        f" AND duration_s > {SLOW_RUN_S}",
        "for": "0s",
        "summary": "the last run took {value} s",
        "group": "pipelines",
    },
    {
        "name": "StaleData",
        "severity": "warning",
        "query": f"SELECT dataset, round({_AGE_S.format(column='loaded_at')}) AS value FROM dataset_freshness"
        f" WHERE dataset LIKE 'mart_%' AND {_AGE_S.format(column='loaded_at')} > {STALE_AFTER_S}",
        "for": "0s",
        "summary": "not updated for {value} s",
        "group": "quality",
    },
    {
        "name": "DeadLetters",
        "severity": "warning",
        "query": "SELECT stream, partition, records AS value FROM dead_letters WHERE records > 0",
        "for": "0s",
        "summary": "{value} records could not be delivered",
        "group": "streams",
    },
    {
        "name": "ServiceDown",
        "severity": "critical",
        "query": "SELECT 'analytics' AS service, color, 1 AS value FROM service_metrics WHERE up = 0"
        " AND id IN (SELECT max(id) FROM service_metrics GROUP BY color)",
        "for": "0s",
        "summary": "does not answer",
        "group": "analytics",
    },
    {
        "name": "HighErrorRate",
        "severity": "critical",
        "query": "SELECT 'analytics' AS service, color, error_pct AS value FROM service_metrics WHERE error_pct > 5"
        " AND id IN (SELECT max(id) FROM service_metrics GROUP BY color)",
        "for": "0s",
        "summary": "{value} % of answers are errors",
        "group": "analytics",
    },
    {
        "name": "HighLatency",
        "severity": "warning",
        "query": "SELECT 'analytics' AS service, color, latency_ms AS value FROM service_metrics WHERE latency_ms > 500"
        " AND id IN (SELECT max(id) FROM service_metrics GROUP BY color)",
        "for": "0s",
        "summary": "a request takes {value} ms",
        "group": "analytics",
    },
]
