"""What stands against the side that has the traffic: it was moved since the journal's newest change, or found bad."""

from collections.abc import Mapping
from datetime import tzinfo

from msgspec.structs import replace

from actions.journal.errors import JournalError
from actions.journal.journal import Journal
from actions.kinds import forward
from actions.models import Finding
from actions.switching.changes import Change
from actions.switching.rejections import Candidate, against_live
from backends.command_line import command
from backends.models import Deployment


async def moved_since(
    journal: Journal, context: str, service: str, change: Change | None, weights: Mapping[str, int],
    versions: Mapping[str, str],
) -> str:  # fmt: skip
    """That the traffic is not as the newest change left it, in words, and on a second line how to take it as meant;
    empty where it is, where nobody knows, or where a later flip to what is live said that it is meant."""
    taking = _taking(weights)
    if change is None or not taking or not change.left or taking == _taking(change.left):
        return ""
    only = next(iter(taking)) if len(taking) == 1 else ""
    if only and await is_meant(journal, context, service, change, only):
        return ""
    left = _side_words(_taking(change.left), change.versions)
    who = f"{change.by.partition('@')[0] or 'somebody'}'s {change.kind}"
    words = f"changed since: live is {_side_words(taking, versions)}, {who} left {left}"
    if not only:
        return words
    return f"{words}\nwhere that is meant: {command('deploy flip', service, to=only.upper())}"


async def found_bad(
    journal: Journal, context: str, deployment: Deployment, zone: tzinfo, *, moved: bool
) -> Finding | None:
    """What stands against the version that has the traffic: a block where it was rejected or judged bad, with the
    command that says that it is meant to have it. A version that only went back, or is not known, is told where the
    traffic was `moved` since, as a warning."""
    weaker: Finding | None = None
    for color, side in deployment.colors.items():
        if not side.takes_traffic:
            continue
        candidate = Candidate(color=color, version=side.version or "")
        try:
            found = await against_live(journal, context, deployment.service, candidate, zone)
        except JournalError as error:
            if error.kind != "malformed":
                raise
            continue  # of an edited row the way back and every plan speak; what is live stays readable
        if found is not None and found.level == "block":
            return replace(found, fix=command("deploy accept", deployment.service, candidate.version, reason="WHY"))
        weaker = weaker or (found if moved else None)
    return weaker


async def is_meant(journal: Journal, context: str, service: str, change: Change, live: str) -> bool:
    """Whether a flip to `live`, which has the traffic already, said after `change` that it is meant so."""
    for newest, _ in await journal.planned(context, service, forward(), limit=1):
        meant = newest.status == "succeeded" and not newest.changed and newest.to == live
        return meant and await journal.is_later(newest.id or "", change.action)
    return False


def _taking(weights: Mapping[str, int]) -> dict[str, int]:
    return {color: weight for color, weight in weights.items() if weight}


def _side_words(taking: Mapping[str, int], versions: Mapping[str, str]) -> str:
    if len(taking) == 1:
        color = next(iter(taking))
        return f"{color.upper()} {versions.get(color) or ''}".strip()
    return ", ".join(f"{color.upper()} {weight} %" for color, weight in sorted(taking.items()))
