"""What a mute of alarms does besides keeping them quiet, in words, and what forbids it."""

from collections.abc import Sequence

from backends.alerts.cloudwatch.mute_rules import MAX_ALARMS
from backends.alerts.cloudwatch.wire import Alarm
from backends.models import Finding
from backends.ports import SilenceEffects
from backends.text import clean

SHOWN = 5


def effects_of(chosen: Sequence[Alarm], alarms: Sequence[Alarm], *, ack: bool) -> SilenceEffects:
    """Of muting `chosen`, out of all `alarms`."""
    says = [
        "CloudWatch notifies again at the end, if it is still red",
        "while it is muted, an OK reaches nobody either: the pager keeps its incident open",
    ]
    muted = {alarm.alarm_name for alarm in chosen}
    above = [alarm.alarm_name for alarm in alarms if alarm.children & muted and alarm.alarm_name not in muted]
    if above:
        says.append(f"still notify: {_listed(above)}, composite alarms above")
    left = sorted({child for alarm in chosen for child in alarm.children if child not in muted})
    if left:
        says.append(f"not muted: {_listed(left)}, which the composite alarm is made of")
    findings = []
    if len(muted) > MAX_ALARMS:
        text = f"it matches {len(muted)} alarms, and a mute rule takes {MAX_ALARMS}"
        findings.append(Finding(level="block", code="too-many", text=text, fix="narrow it down"))
    for alarm in chosen:
        if not alarm.other_actions:
            continue
        done = ", ".join(clean(action, 120) for action in alarm.other_actions[:SHOWN])
        text = f"{clean(alarm.alarm_name, 120)} also does {done}, and a mute stops that too"
        fix = "silence it, if that may stop" if ack else ""
        findings.append(Finding(level="block" if ack else "warning", code="stops-actions", text=text, fix=fix))
    return SilenceEffects(says=tuple(says), findings=tuple(findings))


def _listed(names: Sequence[str]) -> str:
    return clean(", ".join(names[:SHOWN]), 300) + (", …" if len(names) > SHOWN else "")
