"""What `teal check` judges: the checks of the config, and each panel as a whole."""

from collections import Counter
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from backends.models import (
    Alert,
    CheckResult,
    Health,
    Panel,
    PerfDatum,
    severity_rank,
    worst,
)
from backends.room import FIX, Room
from console.ports.record import Reading
from console.ports.store import Snapshot
from console.ports.table import reading_of, readings
from console.reading.health import panel_health
from console.session import Acting, Session

ACTIONS = "actions"
_HIDDEN = ("acknowledged", "silenced", "inhibited")
ACTING = frozenset({ACTIONS, "deployments"})
"""What is not known to be well where nobody knows who acts."""


def judged() -> list[tuple[str, Reading[Any, Any]]]:
    """The ports that are judged as a whole."""
    return [(name, reading) for name, reading in readings() if reading.checked == "whole"]


def _checked(name: str) -> str:
    reading = reading_of(name)
    return reading.checked if reading is not None else ""


def check_results(session: Session) -> list[CheckResult]:
    """One result a check, and one a panel that has sources; what was not heard of is unknown."""
    sources = session.sources()
    results: list[CheckResult] = []
    for snapshot in sources:
        if _checked(snapshot.key.panel) != "each":
            continue
        results += snapshot.items if snapshot.error is None and snapshot.items else [_lost(snapshot)]
    for name, reading in judged():
        own = [snapshot for snapshot in sources if snapshot.key.panel == name]
        if own:
            results.append(_judged(name, reading, own))
    return results


def of_actions(acting: Acting, zone: tzinfo, rooms: Sequence[Room] = ()) -> CheckResult:
    """The open actions: as bad as what the worst of them wants of a person, unknown where the journal can not be read;
    a message that names each with its ways out. `rooms`: what is left where they are recorded."""
    found = [(state, words) for state, words in _waiting(acting, zone) if words]
    found.sort(key=lambda each: severity_rank(each[0]))
    states: list[Health] = [state for state, _ in found]
    states += [room.health for room in rooms] + (["unknown"] if acting.unknown else ["ok"])
    state = worst(states)
    words = [words for _, words in found] + [f"{room.words}: {FIX}" for room in rooms if room.words]
    message = "; ".join([*words, acting.unknown]).strip("; ") or f"{len(acting.actions)} open"
    alone = sum(action.orphaned_since is not None for action in acting.actions)
    counts = (
        PerfDatum(label="open", value=len(acting.actions), min=0),
        PerfDatum(label="nobody_runs", value=alone, min=0),
        PerfDatum(label="waiting", value=len(found), min=0),
    )
    told = () if acting.unknown else counts  # nobody counted them: a graph would read that there are none
    return CheckResult(ref=ACTIONS, name=ACTIONS, state=state, message=message, perfdata=told)


def _waiting(acting: Acting, zone: tzinfo) -> list[tuple[Health, str]]:
    if not acting.actions:
        return []
    from actions.waiting import waits  # 25 ms, and mostly nothing is open

    return [waits(action, zone) for action in acting.actions]


def _lost(snapshot: Snapshot) -> CheckResult:
    message = snapshot.error.message if snapshot.error else "no answer in time"
    return CheckResult(ref=snapshot.key.name, name=snapshot.key.name, state="unknown", message=message)


def _judged(panel: Panel, reading: Reading[Any, Any], snapshots: list[Snapshot]) -> CheckResult:
    items = reading.standing(snapshots)
    bad = sorted((item for item in items if item.health != "ok"), key=lambda item: severity_rank(item.health))
    lost = [_lost(snapshot).message for snapshot in snapshots if snapshot.error or snapshot.fetched_at is None]
    lost += [part.message for snapshot in snapshots for part in snapshot.missing]
    lost += (unjudged := [words for item in items if (words := reading.unjudged(item))])
    several = _in_several(reading, items)
    named = [f"{item.backend}: " * (reading.title(item) in several) + reading.says(item) for item in bad[:3]]
    message = "; ".join([*lost, *named]) or _well(items)
    if len(bad) > 3:
        message += f" and {len(bad) - 3} more"
    message = "; ".join([message, *(words for item in items if (words := reading.quiet(item)))])
    counts = [PerfDatum(label="total", value=len(items), min=0)]
    if not unjudged:  # of what nobody judged it is not said how much of it is well
        counts.append(PerfDatum(label="not_ok", value=len(bad), min=0))
    state = worst([panel_health(snapshots), "unknown" if unjudged else "ok"])
    return CheckResult(ref=panel, name=panel, state=state, message=message, perfdata=tuple(counts))


def _in_several(reading: Reading[Any, Any], items: Sequence[Any]) -> set[str]:
    """What several backends have something of: only their name tells it apart."""
    of: dict[str, set[str]] = {}
    for item in items:
        of.setdefault(reading.title(item), set()).add(item.backend)
    return {title for title, backends in of.items() if len(backends) > 1}


def _well(items: Sequence[Any]) -> str:
    """So many are well; of alerts those that are hidden do not ask for anybody, and are not gone."""
    words = Counter(item.state if isinstance(item, Alert) and item.state in _HIDDEN else "ok" for item in items)
    return ", ".join(f"{words[word]} {word}" for word in ("ok", *_HIDDEN) if words[word]) or "0 ok"
