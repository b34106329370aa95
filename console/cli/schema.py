"""`teal schema`: the JSON Schema of what `-o json` prints."""

from typing import Any

import click
import msgspec

from actions.models import Action
from backends.models import Alert, CheckResult, Deployment, LogEntry, PipelineRun, QualityScore, Silence
from console.errors import EXIT_NOT_FOUND, CommandError
from console.output import SCHEMA_PREFIX, Document, StatusDocument, print_json

ITEMS: dict[str, Any] = {
    "run.list": PipelineRun,
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
}


@click.command()
@click.argument("kind", required=False)
def schema(kind: str | None) -> int:
    """The JSON Schema of a KIND of document; without one, the names of all kinds."""
    if kind is None:
        click.echo("\n".join(["status", *ITEMS]))
        return 0
    print_json(document_schema(kind.removeprefix(SCHEMA_PREFIX)))
    return 0


def document_schema(kind: str) -> dict[str, Any]:
    """The schema of one kind. Raises CommandError(5) naming those that there are."""
    if kind == "status":
        return msgspec.json.schema(StatusDocument)
    if kind not in ITEMS:
        known = ", ".join(["status", *ITEMS])
        raise CommandError(EXIT_NOT_FOUND, "not_found", f'no schema "{kind}"', fix=f"there are: {known}")
    found, components = msgspec.json.schema_components([Document, ITEMS[kind]], ref_template="#/$defs/{name}")
    envelope = components["Document"]
    envelope["properties"]["items"] = {"type": "array", "items": found[1]}
    envelope["properties"]["schema"] = {"const": SCHEMA_PREFIX + kind}
    return {"$ref": "#/$defs/Document", "$defs": components}
