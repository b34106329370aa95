"""A Rollout and its ReplicaSets as a controller's state. Nothing is asked here.

A change is a revision: the number that the controller gives to each template that it is told to run. What the API
server holds and the controller has not seen yet is a change too: it comes as soon as the controller looks.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from backends.deployments.argo_rollouts.wire import (
    ReplicaSet,
    Rollout,
    containers_of,
    step_words,
    version_of,
)
from backends.deployments.argo_rollouts.words import ABORTED, detail_of, forms_of, pause_of, unanswered_words, why_not
from backends.deployments.controlled import ACTED_S, offers
from backends.errors import BackendError
from backends.kubernetes.api import FIELD_MANAGER
from backends.models import ControllerPhase, ControllerView, Revision
from backends.ports import ControllerState, Operation, read_stamp
from backends.ports.controllers import TO, OperationState
from backends.redaction import quoted
from backends.times import local_words

OP = "tealdeck.io/op"
OP_REVISION = "tealdeck.io/op-revision"
OP_FROM = "tealdeck.io/op-from"
BACK = ("rollback", "unwant")
"""The steps that order a way back, as the stamps name them."""


class Seen:
    """One look at a Rollout: `rollout`, `sets` and `analysis` are what was read, `state` what they say."""

    def __init__(self, rollout: Rollout, sets: Sequence[ReplicaSet], container: str, analysis: str = "") -> None:
        self.rollout = rollout
        self.sets = sorted(sets, key=lambda each: each.revision)
        self.container = container
        self.analysis = analysis
        self.by_hash = {each.hash: each for each in self.sets}

    # ---- what there is

    @property
    def name(self) -> str:
        """Of the Rollout."""
        return quoted(self.rollout.metadata.name, 128)

    @property
    def current(self) -> ReplicaSet | None:
        """What the controller was last told to run, as far as it has seen that."""
        return self.by_hash.get(self.rollout.status.current_pod_hash)

    @property
    def stable(self) -> ReplicaSet | None:
        """What has, or had last, all of the traffic."""
        return self.by_hash.get(self.rollout.status.stable_rs)

    @cached_property
    def is_told_anew(self) -> bool:
        """Whether the spec holds another template than the controller has seen."""
        if self.rollout.is_seen or self.current is None or self.rollout.spec.template is None:
            return False
        noted = self.rollout.metadata.annotation(OP_REVISION)
        if noted.isascii() and noted.isdecimal() and int(noted) > self.current.revision:
            return True
        return containers_of(self.rollout.spec.template) != containers_of(self.current.spec.template)

    @property
    def last_revision(self) -> int:
        """The highest number given so far."""
        return max((each.revision for each in self.sets), default=0)

    @property
    def number(self) -> int:
        """That of the newest change."""
        known = self.current.revision if self.current is not None else self.last_revision
        if not self.is_told_anew:
            return known
        return (
            self.last_revision if self.last_revision > known else self.last_revision + 1
        )  # its ReplicaSet comes first

    @property
    def shares(self) -> dict[str, int]:
        """Percent by side, while two of them are there; empty where it can not be told."""
        status, stable, current = self.rollout.status, self.stable, self.current
        if stable is None or current is None:
            return {"stable": 0, "candidate": 100} if current is not None else {}
        if current is stable:
            return {"stable": 100, "candidate": 0}
        if self.rollout.spec.strategy.blue_green is not None:
            moved = 100 if status.blue_green.active_selector == current.hash else 0
        elif (weights := status.canary.weights) is not None:
            whole = weights.canary.weight + weights.stable.weight
            moved = round(100 * weights.canary.weight / whole) if whole else 0
        else:  # by the number of pods
            new, old = current.status.available_replicas, stable.status.available_replicas
            moved = round(100 * new / (new + old)) if new + old else 0
        return {"stable": 100 - moved, "candidate": moved}

    def revision_of(self, found: ReplicaSet | None) -> Revision | None:
        """A ReplicaSet as a revision: its hash, and the version that it runs."""
        if found is None:
            return None
        return Revision(id=found.hash, version=version_of(found.spec.template, self.container))

    # ---- what it says

    @cached_property
    def unanswered(self) -> str:
        """What was written and shows no effect, in words; empty for nothing."""
        return unanswered_words(self.rollout)

    @property
    def is_lost(self) -> bool:
        """Whether that was longer ago than the controller may take."""
        times = [each.time for each in self.rollout.metadata.managed_fields or () if each.time is not None]
        newest = max(times, default=datetime.min.replace(tzinfo=UTC))
        return bool(self.unanswered) and datetime.now(UTC) - newest > timedelta(seconds=ACTED_S)

    @cached_property
    def newest(self) -> Operation | None:
        """The newest change, open or ended; null for a Rollout that never ran anything."""
        status, current, stable = self.rollout.status, self.current, self.stable
        if current is None:
            return None
        target = self.revision_of(current)
        if self.is_told_anew:
            version = version_of(self.rollout.spec.template, self.container)
            target = Revision(id=f"revision-{self.number}", version=version)
        assert target is not None
        shares = {"stable": 100, "candidate": 0} if self.is_told_anew else self.shares
        source, ended = self.revision_of(stable), not self.is_told_anew and current is stable
        if ended:
            source = self.revision_of(self._before()[0])
        back = not ended and not self.is_told_anew and status.abort
        # The controller itself notes when it saw that it was aborted.
        home = back and status.aborted_at is not None and not shares.get("candidate")
        stamp = self._stamp()
        steps = self.rollout.spec.steps
        at = status.current_step_index
        is_open = not ended and not home
        return Operation(
            id=f"{self.name}/revision-{self.number}",
            state="open" if is_open else "rolled_back" if home else "succeeded",
            target=target, source=source, back=back and not home, still_wanted=home, shares=shares,
            stage=step_words(steps[at]) if is_open and at is not None and at < len(steps) else "",
            step=at + 1 if is_open and at is not None and at < len(steps) else None,
            steps_total=len(steps) if is_open and steps else None,
            pause=pause_of(self.rollout) if is_open and not back and not self.is_told_anew else None,
            stamp=stamp, by="" if stamp else self._somebody(),
            ask="" if stamp else f"`kubectl argo rollouts get rollout {self.name}` shows more",
            detail=self._detail(is_open, shares), began_at=self._began(),
        )  # fmt: skip

    @cached_property
    def state(self) -> ControllerState:
        """All of it."""
        newest, stable = self.newest, self.revision_of(self.stable)
        before, at_once = self._before()
        returned = self._returned()
        is_open = newest is not None and newest.open
        pause = newest.pause if newest is not None else None
        view = ControllerView(
            type="argo-rollouts", phase=self._phase(), message=self._message(),
            stage=newest.stage if newest else "", step=newest.step if newest else None,
            steps_total=newest.steps_total if newest else None, stable=stable,
            candidate=newest.target if newest is not None and (is_open or newest.still_wanted) else None,
            paused_since=pause.since if pause else None, paused_until=pause.until if pause else None,
            then=pause.then_words if pause and pause.until else "",
            orders=offers(
                why_not(self.rollout, newest, self.revision_of(before), returned=returned),
                {"promote": forms_of(self.rollout, newest), "rollback": self._to_any(newest)},
            ),
        )  # fmt: skip
        return ControllerState(
            view=view, revision=self._token(), newest=newest, before=self.revision_of(before), returned=returned,
            at_once=at_once, unanswered=self.unanswered if self.is_lost else "",
            past=self._past(),
        )  # fmt: skip

    def operation(self, ident: str) -> Operation:
        """That change, whatever was begun since. Raises BackendError(not_found)."""
        newest, number = self.newest, _number(ident, self.name)
        if newest is not None and newest.id == ident:
            return newest
        if number is None or number > self.last_revision + 1:
            raise BackendError("not_found", f"Rollout {self.name}: no change {quoted(ident)}")
        source = self.revision_of(self.stable)
        unmoved = {"stable": 100, "candidate": 0}
        if number > self.last_revision:
            words = "taken out of the spec before the controller saw it"
            target = Revision(id=f"revision-{number}")
            return Operation(id=ident, state="rolled_back", target=target, source=source, shares=unmoved, detail=words)
        mine = next((each for each in self.sets if each.revision == number), None)
        target = self.revision_of(mine) or Revision(id=f"revision-{number}")
        if mine is not None and mine is self.stable:
            return Operation(id=ident, state="succeeded", target=target, detail="it is stable")
        words = f"replaced by revision {self.number}" + (f", to {newest.target.words}" if newest is not None else "")
        if newest is not None and newest.by:
            words += f" by {newest.by}"
        back = self._goes_to_stable and mine is not None and _age(self.stable) <= _age(mine)
        state: OperationState = "rolled_back" if back else "stopped"
        return Operation(id=ident, state=state, target=target, source=source, shares=unmoved, detail=words)

    # ---- inside

    def _past(self) -> dict[str, Revision]:
        """What is stable, and what is older: a way back is never forward, whatever number an undo gave to it."""
        stable = self.stable
        if stable is None:
            return {}
        older = [each for each in self.sets if each is stable or _age(each) < _age(stable)]
        return {
            str(each.revision): Revision(id=each.hash, version=version_of(each.spec.template, self.container))
            for each in older
        }

    def _to_any(self, newest: Operation | None) -> tuple[str, ...]:
        """Whether a rollback may name its revision."""
        at_rest = newest is not None and not newest.open and self.rollout.spec.workload_ref is None
        return (TO,) if at_rest else ()

    @property
    def _goes_to_stable(self) -> bool:
        """Whether the spec wants what is stable."""
        if self.stable is None or not self.is_told_anew:
            return self.stable is not None and self.current is self.stable
        return containers_of(self.rollout.spec.template) == containers_of(self.stable.spec.template)

    def _stamp(self) -> str:
        """Of the action of ours that told it to run the newest revision."""
        metadata = self.rollout.metadata
        mine = metadata.annotation(OP_REVISION) == str(self.number)
        return quoted(metadata.annotation(OP), 128) if mine else ""

    def _began(self) -> datetime | None:
        current = self.current
        return None if current is None or self.is_told_anew else current.metadata.creation_timestamp

    def _somebody(self) -> str:
        """Who wrote the template last, as far as the API server notes that, and when."""
        wrote = [
            each for each in self.rollout.metadata.managed_fields or ()
            if each.owns("spec", "template") and each.manager != FIELD_MANAGER and each.time is not None
        ]  # fmt: skip
        newest = max(wrote, key=lambda each: each.time or datetime.min.replace(tzinfo=UTC), default=None)
        if newest is None or newest.time is None:
            return "somebody"
        return f"somebody ({quoted(newest.manager, 64)}) since {local_words(newest.time, UTC)}"

    def _returned(self) -> bool:
        """Whether the newest change is, or was, a way back: ordered as one, or to a ReplicaSet that is older than the
        one before."""
        current, stable = self.current, self.stable
        if stamp := self._stamp():
            return read_stamp(stamp).step in BACK
        if current is None or stable is None or self.is_told_anew:
            return False
        if current is not stable:
            return _age(current) < _age(stable)
        lower = [each for each in self.sets if each.revision < current.revision]
        return bool(lower) and _age(current) < _age(lower[-1])

    def _before(self) -> tuple[ReplicaSet | None, str]:
        """What was stable before the stable one, and why that could have all traffic at once; empty where it could
        not. Where nobody recorded it, it is the revision before, which may have been aborted."""
        stable = self.stable
        if stable is None:
            return None, ""
        noted = self.rollout.metadata.annotation(OP_FROM) if self._stamp() else ""
        lower = [each for each in self.sets if each.revision < stable.revision]
        found = self.by_hash.get(noted) if noted and noted != stable.hash else None
        found = found or (lower[-1] if lower else None)
        if found is None:
            return None, ""
        spec = self.rollout.spec
        up = f"its ReplicaSet is still up ({found.status.available_replicas} of {found.spec.replicas} ready)"
        if spec.strategy.blue_green is not None and found.is_up:
            return found, f"{up}: at once, without a pause"
        window = spec.rollback_window.revisions if spec.rollback_window else 0
        passed = len([each for each in lower if each.revision >= found.revision])
        if 0 < passed <= window:
            return found, f"within rollbackWindow ({window} revisions): no steps run again"
        return found, ""

    def _phase(self) -> ControllerPhase:
        newest, status = self.newest, self.rollout.status
        if newest is None or self.is_lost:
            return "unknown"
        if newest.still_wanted:
            return "degraded"
        if newest.back:
            return "rolling_back"
        if self.rollout.spec.paused or newest.pause is not None:
            return "paused"
        if not self.rollout.is_seen:
            return "progressing"
        known: dict[str, ControllerPhase] = {
            "Healthy": "healthy", "Progressing": "progressing", "Degraded": "degraded", "Paused": "paused",
        }  # fmt: skip
        return known.get(status.phase, "unknown")

    def _detail(self, is_open: bool, shares: dict[str, int]) -> str:
        parts = [self.unanswered] if self.unanswered else []
        parts += detail_of(self.rollout, self.current, self.stable, shares, is_open=is_open)
        if self.analysis:
            parts.append(self.analysis)
        return ", ".join(parts)

    def _message(self) -> str:
        newest, words = self.newest, self.newest.detail if self.newest is not None else ""
        if newest is None:
            return self.unanswered or f"Rollout {self.name} has run nothing yet"
        if newest.still_wanted:
            back = newest.source.words if newest.source else "the version before"
            what = newest.target.words
            words = f"{words}; {ABORTED}: the spec still holds {what}, and {back} has the traffic"
            return f"{words} (rollback puts {back} back into the spec; retry goes forward to {what} again)"
        if self.rollout.spec.paused and newest.pause is None:
            return f"{words}, paused by somebody (spec.paused)"
        return words

    def _token(self) -> str:
        newest, status = self.newest, self.rollout.status
        pause = newest.pause if newest is not None else None
        told = sorted(containers_of(self.rollout.spec.template))
        what = (
            self.number, told, status.current_pod_hash, status.stable_rs, status.current_step_index, status.abort,
            status.promote_full, status.blue_green.active_selector, pause.id if pause else "",
            newest.state if newest else "", self.rollout.spec.paused,
        )  # fmt: skip
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _age(found: ReplicaSet | None) -> datetime:
    made = found.metadata.creation_timestamp if found is not None else None
    return made or datetime.min.replace(tzinfo=UTC)


def _number(ident: str, name: str) -> int | None:
    """The revision in the id of a change."""
    text = ident.removeprefix(f"{name}/revision-")
    return int(text) if text != ident and text.isascii() and text.isdecimal() else None
