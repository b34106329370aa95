"""`teal schema`: the JSON Schema of what `-o json` prints."""

from typing import Any

import click
import msgspec

from actions.journal.audit import AuditEntry, AuditRecord, AuditVerdict
from actions.models import Action, OpenConsole
from console.cli.config import Finding, Written
from console.cli.context import ContextSummary
from console.cli.plugins import Plugin
from console.cli.report import Report
from console.cli.sandbox import Said
from console.cli.things import documents_of
from console.cli.timeline import Change
from console.cli.whole_help import WholeCommand
from console.errors import EXIT_NOT_FOUND, CommandError
from console.ports.table import PORTS, listed, readings
from console.printing.diagnosis import Diagnosis
from console.printing.output import SCHEMA_PREFIX, Document, print_json, status_shape
from console.sandbox.control import SandboxInfo
from console.sandbox.load import LoadReport

# What the items of each kind of document are that is of no port.
_OTHER_ITEMS: dict[str, Any] = {
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
    "plugins": Plugin,
    "sandbox": Said,
    "sandbox.status": SandboxInfo,
    "sandbox.load": LoadReport,
    "error": Any,
}


def items() -> dict[str, Any]:
    """What the items of each kind of document are."""
    return {**{kind: shape for port in PORTS.values() for kind, shape in documents_of(port).items()}, **_OTHER_ITEMS}


def status_items() -> dict[str, Any]:
    """What the lists of `teal/v1/status` are of."""
    return {**{listed()[name]: reading.item for name, reading in readings()}, "actions": Action, "on": OpenConsole}


def kinds() -> tuple[str, ...]:
    """The kinds of documents that there are."""
    return ("status", *items())


@click.command(cls=WholeCommand)
@click.argument("kind", required=False)
def schema(kind: str | None) -> int:
    """The JSON Schema of a KIND of document; without one, the names of all kinds."""
    if kind is None:
        click.echo("\n".join(kinds()))
        return 0
    print_json(document_schema(kind.removeprefix(SCHEMA_PREFIX)))
    return 0


def document_schema(kind: str) -> dict[str, Any]:
    """The schema of one kind. Raises CommandError(5) naming those that there are."""
    if kind not in kinds():
        known = ", ".join(kinds())
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no schema "{kind}"', fix=f"there are: {known}")
    shape: Any = status_shape() if kind == "status" else Document
    lists = status_items() if kind == "status" else {"items": items()[kind]}
    found, components = msgspec.json.schema_components([shape, *lists.values()], ref_template="#/$defs/{name}")
    properties = components[shape.__name__]["properties"]
    for name, shown in zip(lists, found[1:], strict=True):
        properties[name] = {"type": "array", "items": shown}
    properties["schema"] = {"const": SCHEMA_PREFIX + kind}
    return {**found[0], "$defs": components}
