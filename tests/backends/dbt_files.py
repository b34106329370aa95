"""Artifacts as dbt writes them, made for a test: no more of them than is read."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

SCHEMA = "https://schemas.getdbt.com/dbt/run-results/v6.json"


def stamp(at: datetime) -> str:
    """As dbt writes times."""
    return at.isoformat().replace("+00:00", "Z")


def result(node: str, status: str, at: datetime, failures: int | None = None, message: str | None = None) -> Any:
    """One entry of `results`."""
    timing = [{"name": "execute", "started_at": stamp(at), "completed_at": stamp(at)}]
    return {"unique_id": node, "status": status, "timing": timing, "message": message, "failures": failures}


def write_results(
    directory: Path, at: datetime, results: Sequence[Any], *, which: str = "test", invocation: str = "", **args: Any
) -> None:
    """`run_results.json` of one command."""
    write(
        directory / "run_results.json",
        {
            "metadata": {
                "dbt_schema_version": SCHEMA,
                "generated_at": stamp(at),
                "invocation_id": invocation or f"{which}-{stamp(at)}",
                "env": {},
            },
            "args": {"which": which, **args},
            "results": list(results),
        },
    )


def write_sources(directory: Path, at: datetime, results: Sequence[Any]) -> None:
    """`sources.json` of one `dbt source freshness`."""
    metadata = {"generated_at": stamp(at), "invocation_id": f"freshness-{stamp(at)}", "env": {}}
    write(directory / "sources.json", {"metadata": metadata, "results": list(results)})


def source(node: str, status: str, at: datetime, loaded_at: datetime | None, **criteria: Any) -> Any:
    """One measured source; `criteria` as `warn_after=(12, "hour")`."""
    return {
        "unique_id": node,
        "status": status,
        "max_loaded_at": stamp(loaded_at) if loaded_at else None,
        "snapshotted_at": stamp(at),
        "criteria": {name: {"count": count, "period": period} for name, (count, period) in criteria.items()},
    }


def write_manifest(
    directory: Path, models: Sequence[str], tests: dict[str, str], children: dict[str, list[str]] | None = None
) -> None:
    """A manifest of a project `shop`; `tests` maps the name of a test to its model."""
    nodes = {f"model.shop.{name}": {"resource_type": "model", "name": name} for name in models}
    for name, model in tests.items():
        nodes[f"test.shop.{name}.abc"] = {
            "resource_type": "test", "name": name, "attached_node": f"model.shop.{model}",
            "depends_on": {"nodes": [f"model.shop.{model}"]},
        }  # fmt: skip
    exposures = {"exposure.shop.kpis": {"name": "kpis", "type": "dashboard", "owner": {"name": "Finance"}}}
    content = {
        "metadata": {}, "nodes": nodes, "sources": {}, "exposures": exposures, "child_map": children or {},
    }  # fmt: skip
    write(directory / "manifest.json", content)


def write(path: Path, content: Any) -> None:
    """As one rename, so that a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (part := path.with_suffix(".part")).write_text(json.dumps(content))
    part.replace(path)
