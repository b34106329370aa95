"""`teal schema`: the JSON Schema of what `-o json` prints."""

from typing import Any

import click
import msgspec

from actions.journal.audit import AuditEntry, AuditRecord, AuditVerdict
from actions.models import Action, OpenConsole
from backends.models import Alert, CheckResult, Deployment, LogEntry, PipelineRun, QualityScore, Silence, TaskRun
from backends.ports import Approval
from console.cli.config import Finding, Written
from console.cli.context import ContextSummary
from console.cli.report import Report
from console.cli.sandbox import Said
from console.cli.timeline import Change
from console.errors import EXIT_NOT_FOUND, CommandError
from console.printing.diagnosis import Diagnosis
from console.printing.output import SCHEMA_PREFIX, Document, StatusDocument, print_json
from console.reading.triage import Triage
from console.sandbox.control import SandboxInfo
from console.sandbox.load import LoadReport


class RunWithTasks(PipelineRun, frozen=True, kw_only=True):
    """A run as `run show` prints it."""

    tasks: tuple[TaskRun, ...]
    triage: Triage | None = None
    approvals: tuple[Approval, ...] = ()


# What the items of each kind of document are.
ITEMS: dict[str, Any] = {
    "run.list": PipelineRun,
    "run.show": RunWithTasks,
    "run.log": LogEntry,
    "quality.list": QualityScore,
    "quality.show": QualityScore,
    "alert.list": Alert,
    "alert.show": Alert,
    "alert.silences": Silence,
    "deploy.status": Deployment,
    "deploy.history": Action,
    "log": LogEntry,
    "check": CheckResult,
    "action": Action,
    "action.list": Action,
    "note": AuditEntry,
    "timeline": Change,
    "report": Report,
    "audit.list": AuditRecord,
    "audit.verify": AuditVerdict,
    "audit.export": AuditRecord,
    "context.list": ContextSummary,
    "context.show": ContextSummary,
    "config.init": Written,
    "config.validate": Finding,
    "config.show": dict[str, Any],
    "doctor": Diagnosis,
    "sandbox": Said,
    "sandbox.status": SandboxInfo,
    "sandbox.load": LoadReport,
    "error": Any,
}
# What the lists of `teal/v1/status` are of.
STATUS_ITEMS: dict[str, Any] = {
    "pipelines": PipelineRun, "quality": QualityScore, "alerts": Alert, "deployments": Deployment, "logs": LogEntry,
    "checks": CheckResult, "actions": Action, "on": OpenConsole,
}  # fmt: skip
KINDS = ("status", *ITEMS)


@click.command()
@click.argument("kind", required=False)
def schema(kind: str | None) -> int:
    """The JSON Schema of a KIND of document; without one, the names of all kinds."""
    if kind is None:
        click.echo("\n".join(KINDS))
        return 0
    print_json(document_schema(kind.removeprefix(SCHEMA_PREFIX)))
    return 0


def document_schema(kind: str) -> dict[str, Any]:
    """The schema of one kind. Raises CommandError(5) naming those that there are."""
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no schema "{kind}"', fix=f"there are: {known}")
    shape: Any = StatusDocument if kind == "status" else Document
    lists = STATUS_ITEMS if kind == "status" else {"items": ITEMS[kind]}
    found, components = msgspec.json.schema_components([shape, *lists.values()], ref_template="#/$defs/{name}")
    properties = components[shape.__name__]["properties"]
    for name, items in zip(lists, found[1:], strict=True):
        properties[name] = {"type": "array", "items": items}
    properties["schema"] = {"const": SCHEMA_PREFIX + kind}
    return {**found[0], "$defs": components}
