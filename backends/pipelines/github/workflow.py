"""A workflow file: the inputs of a dispatch, and which job needs which. The API tells of neither.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax
"""

import base64
import binascii
from typing import Any

from msgspec import Struct

from backends.identifiers import identifier
from backends.ports import ParamType, PipelineParam
from backends.text import clean

MAX_BYTES = 512 * 1024
_TYPES: dict[str, ParamType] = {
    "string": "string", "environment": "string", "choice": "string", "boolean": "boolean", "number": "number",
}  # fmt: skip


class WorkflowFile(Struct, frozen=True):
    """What of it matters. `needs`: name of a job, to the names of those before it; `schedule` as cron."""

    inputs: tuple[PipelineParam, ...] = ()
    needs: dict[str, tuple[str, ...]] = {}
    schedule: str = ""
    is_dispatched: bool = False


def read_workflow(content: str) -> WorkflowFile:
    """From the base64 of the contents API. What cannot be understood is empty: it costs a form, not the run."""
    try:
        text = base64.b64decode(content)
        if len(text) > MAX_BYTES:
            return WorkflowFile()
        import yaml

        found = yaml.safe_load(text)
    except (binascii.Error, ValueError, RecursionError):
        return WorkflowFile()
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        return WorkflowFile()
    if not isinstance(found, dict):
        return WorkflowFile()
    events = found.get("on", found.get(True))  # YAML 1.1 reads a bare `on` as true
    if isinstance(events, str | list):
        events = dict.fromkeys([events] if isinstance(events, str) else [str(event) for event in events])
    events = _table(events)
    crons = [
        str(entry["cron"]) for entry in _list(events.get("schedule")) if isinstance(entry, dict) and "cron" in entry
    ]
    return WorkflowFile(
        inputs=_inputs(_table(_table(events.get("workflow_dispatch")).get("inputs"))),
        needs=_needs(_table(found.get("jobs"))),
        schedule=clean(", ".join(filter(None, crons)), 100),
        is_dispatched="workflow_dispatch" in events,
    )


def _inputs(inputs: dict[str, Any]) -> tuple[PipelineParam, ...]:
    found = []
    for name, entry in list(inputs.items())[:25]:
        told = _table(entry)
        kind = str(told.get("type", "string"))
        choices = tuple(clean(str(option), 200) for option in _list(told.get("options")))
        found.append(
            PipelineParam(
                name=identifier(name),
                type=_TYPES.get(kind, "string"),
                default=told.get("default", "" if kind == "string" else None),
                required=told.get("required") is True,
                description=clean(str(told.get("description") or ""), 300),
                choices=choices if kind == "choice" else (),
            )
        )
    return tuple(found)


def _needs(jobs: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    names = {key: clean(str(_table(job).get("name") or key), 250) for key, job in jobs.items()}
    needs: dict[str, tuple[str, ...]] = {}
    for key, job in jobs.items():
        wanted = _table(job).get("needs")
        wanted = [wanted] if isinstance(wanted, str) else _list(wanted)
        needs[names[key]] = tuple(names[each] for each in wanted if isinstance(each, str) and each in names)
    return needs


def _table(value: Any) -> dict[str, Any]:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
