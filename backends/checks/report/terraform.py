"""A plan, as `terraform show -json PLAN` (or `tofu`) tells it: what would be created, changed, destroyed.

Source: https://developer.hashicorp.com/terraform/internals/json-format.
"""

from msgspec import Struct

from backends.checks.report.found import Count, Report, example, said_at
from backends.errors import BackendError
from backends.http import decode_json
from backends.text import clean, counted

_STAYS = frozenset({"no-op", "read"})


class _Change(Struct):
    actions: list[str]

    @property
    def stays(self) -> bool:
        return bool(self.actions) and _STAYS.issuperset(self.actions)


class _Resource(Struct):
    address: str
    change: _Change


class _Plan(Struct):
    format_version: str
    resource_changes: list[_Resource] = []
    resource_drift: list[_Resource] = []
    output_changes: dict[str, _Change] = {}
    timestamp: str = ""
    errored: bool = False
    complete: bool = True


def read(body: bytes) -> Report:
    """What is replaced counts as created and as destroyed, as Terraform counts it; an action that is not known as
    changed. A plan that ended with an error, or that leaves something out, proves nothing."""
    plan = decode_json(body, _Plan, where="plan")
    if plan.format_version.partition(".")[0] not in ("0", "1"):
        raise BackendError("malformed", f"a plan of format {clean(plan.format_version, 20)}, where 1 is read")
    moving = [resource for resource in plan.resource_changes if not resource.change.stays]
    creates = [each.address for each in moving if "create" in each.change.actions]
    destroys = [each.address for each in moving if "delete" in each.change.actions]
    changes = [each.address for each in moving if not {"create", "delete"}.intersection(each.change.actions)]
    drifted = [each.address for each in plan.resource_drift if not each.change.stays]
    outputs = [name for name, change in plan.output_changes.items() if not change.stays]
    counts = (
        Count("destroys", len(destroys), f"{len(destroys)} to destroy{example(destroys)}"),
        Count("creates", len(creates), f"{len(creates)} to create{example(creates)}"),
        Count("changes", len(changes), f"{len(changes)} to change{example(changes)}"),
        Count("drifted", len(drifted), f"{len(drifted)} changed outside{example(drifted)}"),
        Count("outputs", len(outputs), f"{counted(len(outputs), 'output')} to change{example(outputs)}"),
    )
    unjudged = "the plan ended with an error" if plan.errored else "" if plan.complete else "the plan is not complete"
    summary = "nothing to change" if not any(count.value for count in counts) else "a plan with changes"
    return Report(summary=summary, counts=counts, made_at=said_at(plan.timestamp), unjudged=unjudged)
