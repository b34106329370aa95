"""Which versions of a service were found bad: what a person rejected, and what went back, and why it did."""

from datetime import UTC, datetime, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from actions.endings import JUDGED_BAD
from actions.expected import SwitchExpected
from actions.journal.journal import Journal
from actions.kinds import forward, kind_of, moving
from actions.models import Action, Finding, Plan
from backends.text import clean
from backends.times import local_words

CODE = "rejected"
ACCEPT = "accept"
LOOKED_THROUGH = 100  # orders of one service, the newest first
_BEFORE_TRAFFIC = frozenset({"smoke_failed", "health_failed"})
_WENT_BACK = frozenset({"rolled_back", "rollback_failed"})


class Candidate(Struct, frozen=True, kw_only=True):
    """What would get traffic: `version` on the side `color`; empty where nobody knows it. `production` is the version
    that has the traffic now, `released` says that the version is put there by this very order."""

    color: str
    version: str
    production: str = ""
    released: bool = False


class _Verdict(Struct, frozen=True):
    """What one action says of a version: in words, and whether it was found bad or only went back."""

    words: str
    bad: bool


async def rejection_of(
    journal: Journal, context: str, service: str, candidate: Candidate, zone: tzinfo, *, after: datetime | None = None
) -> Finding | None:
    """Why it should get no traffic, of what was recorded `after` that. A block where a person rejected it, or where a
    metric gate, the smoke test or its health failed; a warning where it went back for another reason. None where it
    has succeeded since, or where production runs the same version: then that is no reason."""
    if candidate.version and candidate.version == candidate.production:
        return None
    found = await _found(journal, await _looked_through(journal, context, service), candidate, zone)
    if found is None or (after is not None and (found[0].started_at is None or found[0].started_at <= after)):
        return None
    return found[1]


async def against_live(
    journal: Journal, context: str, service: str, candidate: Candidate, zone: tzinfo
) -> Finding | None:
    """As `rejection_of`, of a version that has the traffic on its side; None where a person has accepted it there since
    it was found bad, and no traffic was moved after that."""
    looked = await journal.planned(context, service, (*moving(), "reject", ACCEPT), limit=LOOKED_THROUGH)
    found = await _found(journal, [pair for pair in looked if pair[0].kind != ACCEPT], candidate, zone)
    if found is None:
        return None
    for action, _ in looked:
        moved = kind_of(action.kind).traffic and action.changed and action.status != "aborted"
        if action.id == found[0].id or moved:
            break
        if action.kind == ACCEPT and (action.to, action.version) == (candidate.color, candidate.version):
            return None
    return found[1]


async def rejections(journal: Journal, context: str, service: str) -> list[Action]:
    """What rejects each version that gets no traffic again: the order of a person, or what went back or failed since
    the version was bad. Each with that version, the newest first."""
    looked = await _looked_through(journal, context, service)
    versions = dict.fromkeys(_tried(action, plan) for action, plan in looked)
    stand = list[Action]()
    for version in filter(None, versions):
        found = await _found(journal, looked, Candidate(color="", version=version), UTC)
        if found and found[1].level == "block":
            stand.append(replace(found[0], version=version))
    return stand


async def _looked_through(journal: Journal, context: str, service: str) -> list[tuple[Action, Plan]]:
    return await journal.planned(context, service, (*moving(), "reject"), limit=LOOKED_THROUGH)


async def _found(
    journal: Journal, looked: list[tuple[Action, Plan]], candidate: Candidate, zone: tzinfo
) -> tuple[Action, Finding] | None:
    weaker: tuple[Action, Finding] | None = None
    for action, plan in looked:
        sure = _concerns(action, plan, candidate)
        if sure is None:
            continue
        if action.kind == "reject":
            return action, _finding(candidate, _by_hand(action), sure=True)
        if kind_of(action.kind).forward and action.status == "succeeded":
            break
        if (verdict := _verdict(action, await _why(journal, action), zone)) is None:
            continue
        found = _finding(candidate, verdict, sure=sure)
        if found.level == "block":
            return action, found
        weaker = weaker or (action, found)
    return weaker


async def rejected_by_hand(journal: Journal, context: str, service: str, version: str) -> bool:
    """Whether a person has rejected `version`, and no release or flip of it has succeeded since."""
    candidate = Candidate(color="", version=version)
    for action, plan in await journal.planned(context, service, (*forward(), "reject"), limit=LOOKED_THROUGH):
        if _concerns(action, plan, candidate) and (action.kind == "reject" or action.status == "succeeded"):
            return action.kind == "reject"
    return False


def _concerns(action: Action, plan: Plan, candidate: Candidate) -> bool | None:
    """Whether `action` says something of this version; False where it only may: it was this side, and the version is
    not known. None where it does not."""
    if action.kind == "reject":
        return True if candidate.version and action.version == candidate.version else None
    versions = plan.expecting(SwitchExpected).versions
    tried, other = _sides(action, plan)
    version = _tried(action, plan)
    if tried == other or (version and version == versions.get(other)):
        return None  # both sides ran it: what was wrong was not the version
    if version and candidate.version:
        return True if version == candidate.version else None
    return False if tried == candidate.color and not candidate.released else None


def _tried(action: Action, plan: Plan) -> str:
    """The version that an order was about; empty where nobody knows it."""
    if action.version or action.kind == "reject":
        return action.version
    return plan.expecting(SwitchExpected).versions.get(_sides(action, plan)[0], "")


def _sides(action: Action, plan: Plan) -> tuple[str, str]:
    """The side that was tried, and the one that it was tried against."""
    if kind_of(action.kind).forward:
        return action.to, action.from_
    shares = plan.expecting(SwitchExpected).weights
    left = [color for color, share in shares.items() if share and color != action.to]
    return (left[0] if len(left) == 1 else action.from_), action.to


def _verdict(action: Action, why: str, zone: tzinfo) -> _Verdict | None:
    """What `action` says of its version; None where that neither went back nor failed before it had traffic."""
    at = action.ended_at or action.started_at
    when = f" at {local_words(at, zone)}" if at else ""
    of = f"{action.kind} {action.id} of {action.actor or 'somebody'}"
    if not kind_of(action.kind).forward:
        gone = action.status == "succeeded" and action.changed
        return _Verdict(f"went back by hand{when}, {of}{_because(action.reason)}", bad=False) if gone else None
    failed = action.status == "aborted" and why in _BEFORE_TRAFFIC
    if action.status not in _WENT_BACK and not failed:
        return None
    said = _because(action.error.message if action.error else "")
    return _Verdict(f"{'failed' if failed else 'went back'}{when}, {of}{said}", bad=why in JUDGED_BAD)


def _by_hand(action: Action) -> _Verdict:
    return _Verdict(f"was rejected by {action.actor or 'somebody'}{_because(action.reason)}", bad=True)


def _finding(candidate: Candidate, verdict: _Verdict, *, sure: bool) -> Finding:
    if not sure:
        text = f"{candidate.color.upper()} {verdict.words}; whether that was the version that it runs now is not known"
        return Finding(level="warning", code=CODE, text=text)
    text = f"{candidate.version} {verdict.words}"
    if not verdict.bad:
        return Finding(level="warning", code=CODE, text=text)
    return Finding(level="block", code=CODE, text=text, fix="another version", overridable=True)


def _because(reason: str) -> str:
    return f": {clean(reason, 300)}" if reason else ""


async def _why(journal: Journal, action: Action) -> str:
    """The kind of error that it went back or ended for; a way back that failed too hides it in its events."""
    if action.status == "rollback_failed" and kind_of(action.kind).forward:
        for line in await journal.history(action.id or ""):
            if line.event.kind == "status" and "by_hand" in line.event.data:
                return str(line.event.data.get("kind", ""))
    return action.error.kind if action.error else ""
