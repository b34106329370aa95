"""Which orders an open action takes whose change a controller makes: those that the controller takes now."""

from msgspec.structs import replace

from actions.controlling.baking import BAKE
from actions.controlling.control_plan import ORDER
from actions.controlling.smoking import SMOKE
from actions.expected import ControlExpected
from actions.facts import Facts, hash_of, shortened
from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.kinds import kind_of
from actions.models import Action, Finding, Plan
from actions.targets import Targets
from backends.models import OrderName
from backends.ports import Order

_STEERS: dict[str, OrderName] = {"promote": "promote", "pause": "pause", "resume": "resume", "accept": "promote"}


class SteeringFacts(Facts, frozen=True, kw_only=True, omit_defaults=True):
    """What an order to an open action on a controller is agreed to with: the change, and where it waits."""

    order: str
    action: str
    operation: str = ""
    pause: str = ""


async def to_its_controller(plan: Plan, action: Action, journal: Journal, targets: Targets, *, orphaned: bool) -> Plan:
    """The plan of an order to `action`; of one on a controller, as that takes the order now. Raises BackendError."""
    word = plan.request.order
    # Its controller knows of no order of it yet, or of no wait.
    ours = action.phase in (BAKE, SMOKE) or not action.changed
    if word not in _STEERS or not action.open or not kind_of(action.kind).forward or ours:
        return plan  # steered as one of a switch
    try:
        expected = (await journal.plan(action.id or "")).expected
    except JournalError:
        return plan  # the order says itself that its row is not believed
    if not isinstance(expected, ControlExpected) or (word == "resume" and orphaned):
        return plan
    if (target := await targets.controller(action.service)) is None:
        return plan
    state = await target.adapter.observe()
    offer = state.view.offer(_STEERS[word])
    findings = tuple(each for each in plan.findings if each.code != ORDER)
    why = "there is no evidence to accept: its controller judges; promote goes on" if word == "accept" else offer.why
    if word == "accept" or not offer.allowed:
        no = Finding(level="block", code=ORDER, text=f"{word}: {why}", fix="`teal action show` says where it is")
        return replace(plan, findings=(*findings, no))
    operation = state.open
    order = Order(order=offer.order, operation=operation.id if operation else "")
    pause = operation.pause.id if operation is not None and operation.pause is not None else ""
    agreed = hash_of(
        SteeringFacts(
            kind=plan.kind, context=plan.context, service=plan.service, order=word, action=action.id or "",
            operation=order.operation, pause=pause,
        )
    )  # fmt: skip
    effects = (plan.summary.effects[0], *target.adapter.describe_order(state, order))
    summary = replace(plan.summary, effects=effects)
    return replace(plan, findings=findings, summary=summary, hash=shortened(agreed), full_hash=agreed)
