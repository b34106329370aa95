"""The config of context `sandbox`, in the same words as any other config."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from console.sandbox import files
from console.sandbox.rules import RULES

CONTEXT = "sandbox"
PIPELINES = "local"
PRODUCTION = "production_data_pipeline"
MONITORING = "monitoring_and_alerting"
SERVICE = "analytics"
BAKE = "10s"  # so long a flip is watched: what a drill does meanwhile is typed by hand

_WAREHOUSE_URL = f"sqlite:///{files.WAREHOUSE}"
_WAIT = ["wait_for_source_files"]
_INGEST = ["ingest_customers", "ingest_transactions", "ingest_products", "ingest_events"]
_VALIDATE = ["validate_customers_data", "validate_transactions_data"]
_LOOK = ["check_system_health", "monitor_data_freshness", "collect_quality_metrics", "monitor_performance"]
_NOTHING: list[str] = []
DAGS: dict[str, dict[str, list[str]]] = {
    PRODUCTION: {
        _WAIT[0]: [],
        **dict.fromkeys(_INGEST, _WAIT),
        **dict.fromkeys(_VALIDATE, _INGEST),
        "custom_quality_validation": _VALIDATE,
        "dbt_run_staging": ["custom_quality_validation"],
        "dbt_run_intermediate": ["dbt_run_staging"],
        "dbt_run_marts": ["dbt_run_intermediate"],
        "dbt_test_all": ["dbt_run_marts"],
        "trigger_glue_etl": ["dbt_test_all"],
        "process_kinesis_streams": ["dbt_test_all"],
        "update_monitoring_metrics": ["trigger_glue_etl", "process_kinesis_streams"],
    },
    MONITORING: {**dict.fromkeys(_LOOK, _NOTHING), "generate_alerts": _LOOK},
}
SCHEDULES = {PRODUCTION: "2m", MONITORING: "30s"}
PARAMS: dict[str, dict[str, Any]] = {PRODUCTION: {"rows": 500}, MONITORING: {}}


def document(directory: Path, ports: dict[str, int]) -> dict[str, Any]:
    """The whole config as data."""
    context = {
        "title": SERVICE,
        "links": {
            "rows": [
                {
                    "pipeline": PRODUCTION,
                    "datasets": ["customers", "transactions", "products", "events"],
                    "services": [SERVICE],
                    "owner": "data-platform",
                    "channel": "#data-oncall",
                }
            ]
        },
        "pipelines": [pipelines_entry(directory)],
        "quality": [
            {
                "name": "scores",
                "type": "sql",
                "url": _WAREHOUSE_URL,
                "table": "data_quality_log",
                "warn": 0.95,
                "crit": 0.8,
                "scale": 1,
                "history": 24,
            }
        ],
        "alerts": [{"name": "rules", "type": "rules", "url": _WAREHOUSE_URL, "state": "alerts.json", "rules": RULES}],
        "deployments": [_deployment(directory, ports)],
        "logs": [{"name": SERVICE, "type": "files", "paths": ["logs/*.log"]}],
        "checks": _checks(ports),
    }
    return {"default_context": CONTEXT, "contexts": {CONTEXT: context}}


def pipelines_entry(directory: Path) -> dict[str, Any]:
    """The entry of the `local` pipelines adapter: the console reads runs through it, the supervisor starts them."""
    env = {"SANDBOX_DIR": str(directory), **files.import_path()}
    dags = []
    for name, tasks in DAGS.items():
        dag: dict[str, Any] = {"name": name, "schedule": SCHEDULES[name], "params": PARAMS[name], "env": env}
        dag["tasks"] = [
            {
                "name": task,
                "command": [sys.executable, "-P", "-m", "console.sandbox.tasks", task],
                "depends_on": depends_on,
                "timeout": "60s",
            }
            for task, depends_on in tasks.items()
        ]
        dags.append(dag)
    return {
        "type": PIPELINES,
        "history": "sqlite:///runs.db",
        "logs": "logs/tasks",
        "max_active_tasks": 2,
        "dags": dags,
    }


def _release(directory: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "console.sandbox.release", str(directory)]


def _deployment(directory: Path, ports: dict[str, int]) -> dict[str, Any]:
    return {
        "name": SERVICE,
        "type": "file-switch",
        "path": files.SWITCH,
        "format": "json",
        "validate": [],
        "reload": [],
        "probe": {"url": _url(ports["router"], "/health"), "header": "X-Environment"},
        "health": {color: _url(ports[color], "/health") for color in files.COLORS},
        "exposition": {color: _url(ports[color], "/metrics") for color in files.COLORS},
        "deploy": [*_release(directory), "{color}", "{version}"],
        "retire": [*_release(directory), "{color}", "--retire"],
        "smoke": [sys.executable, "-P", "-m", "console.sandbox.smoke", "{url}"],
        "env": sorted(files.import_path()),
        "bake": os.environ.get("TEAL_SANDBOX_BAKE", BAKE),
        "rollback_window": "30m",
    }


def _checks(ports: dict[str, int]) -> list[dict[str, Any]]:
    healthy = {"status": 200, "json": {"status": "healthy"}}
    http = {"router": "router", **{f"{SERVICE}-{color}": color for color in files.COLORS}}
    checks: list[dict[str, Any]] = [
        {
            "name": name,
            "type": "http",
            "url": _url(ports[port], "/health"),
            "expect": healthy,
            "warn": "500ms",
            "crit": "2s",
        }
        for name, port in http.items()
    ]
    status = {"status": 200, "json": {"warehouse": "ok"}}
    checks.append(
        {"name": "warehouse", "type": "http", "url": _url(ports["router"], "/api/v1/status"), "expect": status}
    )
    checks.append({"name": "ingress", "type": "tcp", "host": "127.0.0.1", "port": ports["router"], "warn": "1s"})
    return checks


def _url(port: int, path: str = "") -> str:
    return f"http://127.0.0.1:{port}{path}"


def render(value: dict[str, Any], path: str = "") -> str:
    """`value` as TOML: tables and arrays of tables where there are dictionaries, one line for what is below a list."""
    plain = [f"{key} = {_inline(found)}" for key, found in value.items() if not _is_table(found)]
    parts = ["\n".join(plain) + "\n"] if plain else []
    for key, found in value.items():
        name = f"{path}.{key}" if path else key
        if isinstance(found, dict) and _is_table(found):
            body = render(found, name)
            parts.append(body if body.startswith("[") or not body else f"[{name}]\n{body}")
        elif _is_table(found):
            parts += [f"[[{name}]]\n{render(item, name)}" for item in found]
    return "\n".join(parts)


def _is_table(value: Any) -> bool:
    if isinstance(value, dict):
        return any(isinstance(inner, (dict, list)) for inner in value.values())
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_inline(inner)}" for key, inner in value.items()) + " }" if value else "{}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
