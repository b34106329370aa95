"""An Application as a controller's state: its newest operation, its history, its health. Nothing is asked here.

A change is a sync. Its number is the one that it has in the history once it has succeeded.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cached_property

from backends.deployments.argo_cd.doors import ASKED, KEPT, OP
from backends.deployments.argo_cd.wire import Application, Past, Resource, RunningOperation
from backends.deployments.controlled import goes_back, offers
from backends.errors import BackendError
from backends.images import image_version
from backends.models import ControllerPhase, ControllerView, OrderName, Revision
from backends.ports import ControllerState, Operation, Pause, read_stamp
from backends.ports.controllers import TO, OperationState
from backends.redaction import quoted
from backends.times import local_words

LOOKS_AGAIN = timedelta(seconds=5)
"""After this long its health is taken to be that after a sync, where it does not say so itself."""
SECOND = timedelta(seconds=1)  # what its times are told in
OF_A_SYNC = timedelta(seconds=60)
"""What its health turns to later is no part of the sync."""
_WORST = ("Degraded", "Missing", "Unknown", "Suspended", "Progressing")
_PHASES: dict[str, ControllerPhase] = {
    "Healthy": "healthy", "Degraded": "degraded", "Progressing": "progressing", "Suspended": "paused",
}  # fmt: skip
_IN_PROGRESS = ("Running", "Terminating")
NO_PAUSE = "Argo CD has no pause: `pause` turns auto-sync off, and it is off"


class Seen:
    """One look at an Application; `state` is what it says."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.history = app.status.history or []

    # ---- what there is

    @property
    def name(self) -> str:
        """Of the Application."""
        return quoted(self.app.metadata.name, 128)

    @property
    def deployed(self) -> Past | None:
        """What was synced last."""
        return self.history[-1] if self.history else None

    @property
    def image_version(self) -> str | None:
        """The version of what runs, where all images have the same."""
        versions = {image_version(image) for image in self.app.status.summary.images or ()}
        return next(iter(versions)) if len(versions) == 1 else None

    @property
    def worst(self) -> str:
        """The resource that is worst, in one line; empty where all are well."""
        bad = [each for each in self.app.status.resources or () if each.health and each.health.status in _WORST]
        bad.sort(key=lambda each: _WORST.index(each.health.status) if each.health else 0)
        if not bad:
            return ""
        more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
        return _resource_words(bad[0]) + more

    @cached_property
    def running(self) -> RunningOperation | None:
        """What is in progress, or asked for and not begun."""
        state = self.app.status.operation_state
        if self.app.operation is not None:
            return self.app.operation
        return state.operation if state is not None and state.phase in _IN_PROGRESS else None

    # ---- what it says

    @cached_property
    def newest(self) -> Operation | None:
        """The newest operation, open or ended; null for an Application that was never synced."""
        state = self.app.status.operation_state
        if self.running is not None:
            return self._open(self.running)
        if state is None or (state.operation.sync is not None and state.operation.sync.dry_run):
            return self._past(self.deployed) if self.deployed is not None else None
        if state.phase == "Succeeded" and self.deployed is not None:
            return self._applied()
        return self._ended_badly()

    @cached_property
    def state(self) -> ControllerState:
        """All of it."""
        newest, before, returned = self.newest, *self._before()
        if newest is not None and newest.left:
            before, returned = newest.source, False
        pause = newest.pause if newest is not None else None
        view = ControllerView(
            type="argo-cd", phase=self._phase(), message=self._message(), stage=newest.stage if newest else "",
            stable=newest.source if newest is not None and newest.open and self.running is None else self._stable(),
            candidate=newest.target if newest is not None and newest.open else None,
            paused_since=pause.since if pause else None,
            orders=offers(self._why_not(before, returned), {"rollback": self._to_any()}),
        )  # fmt: skip
        # A way back is never forward: only what was there before what is deployed came for the first time.
        first = next((n for n, each in enumerate(self.history) if each.revision == self.history[-1].revision), -1)
        past = {str(each.id): Revision(id=each.revision) for each in self.history[: first + 1]}
        return ControllerState(
            view=view, revision=self._token(), newest=newest, before=before, returned=returned, past=past
        )

    def operation(self, ident: str) -> Operation:
        """That sync, whatever was begun since. Raises BackendError(not_found)."""
        newest, (number, began) = self.newest, _parts(ident, self.name)
        if newest is not None and (
            newest.id == ident or (began == "asked" and _parts(newest.id, self.name)[0] == number)
        ):
            return newest
        past = next((each for each in self.history if each.id == number), None)
        if past is not None and began in ("asked", _when(past.deploy_started_at)):
            return self._taken_back(past) or self._past(past)
        next_id = self._next_id()
        if number is None or number > next_id:
            raise BackendError("not_found", f"Application {self.name}: no sync {quoted(ident)}")
        words = f"it came to nothing, and {newest.name} came after it" if newest is not None else "it came to nothing"
        return Operation(
            id=ident, state="stopped", target=Revision(id="?"), source=self._stable(),
            shares={"stable": 100, "candidate": 0}, detail=words,
        )  # fmt: skip

    def past_of(self, revision: str) -> Past:
        """The newest sync of its history to that revision, or of that number. Raises BackendError(not_found)."""
        numbered = [each for each in self.history if str(each.id) == revision]
        found = numbered or [each for each in self.history if each.revision == revision]
        if not found:
            known = ", ".join(f"{each.id} ({short(each.revision)})" for each in self.history[-5:]) or "none"
            words = f"Application {self.name}: its history has no sync of {quoted(revision, 64)}"
            raise BackendError("not_found", words, fix=f"known: {known}")
        return found[-1]

    def auto_sync_words(self) -> str:
        """Why a rollback is refused while it syncs by itself, with the ways out; empty where it does not."""
        if self.app.spec.automated is None:
            return ""
        newest = self.deployed
        revert = f"git revert {short(newest.revision) if newest else 'COMMIT'} && git push"
        words = f"auto-sync is on, and would sync {quoted(self.app.spec.target, 64)} again"
        if owner := self.owner:
            return f"{words}; {owner} puts auto-sync back, so `{revert}` is the way"
        return f"{words}: `pause` turns it off until `resume`, or `{revert}`"

    @property
    def owner(self) -> str:
        """Who writes the Application itself, and puts back what is changed in it; empty for nobody."""
        metadata = self.app.metadata
        for each in metadata.owner_references or ():
            if each.kind == "ApplicationSet":
                return f"ApplicationSet {quoted(each.name, 128)}"
        tracked = metadata.annotation("argocd.argoproj.io/tracking-id").partition(":")[0]
        tracked = tracked or metadata.label("argocd.argoproj.io/instance")
        return f"Application {quoted(tracked, 128)}" if tracked and tracked != metadata.name else ""

    # ---- inside

    def _next_id(self) -> int:
        return self.deployed.id + 1 if self.deployed is not None else 0

    def _stable(self) -> Revision | None:
        past = self.deployed
        if past is None:
            return None
        return Revision(id=past.revision, version=self.image_version) if past.revision else None

    def _target(self, running: RunningOperation) -> Revision:
        """Of an operation: the revision of git, and what was asked for by that, where it was asked from here."""
        revision = (running.sync.revision if running.sync else "") or self.app.spec.target
        return Revision(id=revision, version=quoted(running.note(ASKED), 128) or None)

    def _open(self, running: RunningOperation) -> Operation:
        """In progress: nothing is told of how far it is."""
        state = self.app.status.operation_state
        in_progress = state is not None and state.phase in _IN_PROGRESS
        began = state.started_at if state is not None and in_progress else None
        stamp = quoted(running.note(OP), 128)
        detail = (
            "asked for, and not begun" if not in_progress or state is None else _progress(state.phase, state.message)
        )
        return Operation(
            id=f"{self.name}/sync-{self._next_id()}-{_when(began) or 'asked'}", state="open",
            target=self._target(running), source=self._stable(),
            shares={"stable": 100, "candidate": 0}, stage="sync", stamp=stamp, by="" if stamp else _by(running, began),
            ask="" if stamp else f"`argocd app get {self.name}` shows more", detail=detail, began_at=began,
        )  # fmt: skip

    def _applied(self) -> Operation:
        """A sync that succeeded: open until the health of what it wrote is known."""
        state, past = self.app.status.operation_state, self.deployed
        assert state is not None
        assert past is not None
        ended, health = state.finished_at, self.app.status.health
        now, stamp = datetime.now(UTC), quoted(state.operation.note(OP), 128)
        looked = self.app.status.reconciled_at
        since = now - ended if ended is not None else LOOKS_AGAIN
        fresh = since >= LOOKS_AGAIN or (
            since >= SECOND and ended is not None and looked is not None and looked >= ended
        )
        turned = health.last_transition_time
        of_it = ended is None or turned is None or (
            state.started_at is not None and state.started_at <= turned <= ended + OF_A_SYNC
        )  # fmt: skip
        waits = not fresh or (health.status in ("Progressing", "Degraded", "Suspended", "Missing") and of_it)
        others = [each for each in self.history[:-1] if each.revision != past.revision]
        detail = f"applied, {health.status}{f': {self.worst}' if self.worst else ''}" if waits else "completed"
        pause = None
        if waits and fresh and health.status == "Suspended":
            pause = Pause(id=f"suspended-{past.id}", why=self.worst or "a resource is Suspended", since=turned)
        return Operation(
            id=f"{self.name}/sync-{past.id}-{_when(past.deploy_started_at)}", state="open" if waits else "succeeded",
            target=self._target(state.operation) if waits else Revision(id=past.revision, version=self.image_version),
            source=Revision(id=others[-1].revision) if others else None,
            shares={"stable": 0, "candidate": 100} if waits else {}, stage="health" if waits else "", pause=pause,
            stamp=stamp, by="" if stamp else _by(state.operation, state.started_at), detail=detail,
            began_at=state.started_at, ended_at=ended, answers=self.image_version,
            took_s=(ended - state.started_at).total_seconds() if ended and state.started_at else None,
        )  # fmt: skip

    def _ended_badly(self) -> Operation:
        """What it had applied by then stays applied."""
        state = self.app.status.operation_state
        assert state is not None
        result = state.sync_result
        done = [
            each for each in (result.resources if result else None) or ()
            if each.status == "Synced" and not each.message.endswith("unchanged")
        ]  # fmt: skip
        words = f"{state.phase}: {quoted(state.message)}"
        if done:
            words += f"; {len(done)} of its resources were applied, {done[0].kind} {quoted(done[0].name, 128)} first"
        known: OperationState = "stopped" if done else "rolled_back"
        stamp = quoted(state.operation.note(OP), 128)
        return Operation(
            id=f"{self.name}/sync-{self._next_id()}-{_when(state.started_at)}", state=known,
            target=self._target(state.operation), source=self._stable(),
            shares={"stable": 0 if done else 100, "candidate": 100 if done else 0}, stamp=stamp,
            by="" if stamp else _by(state.operation, state.started_at), detail=words, began_at=state.started_at,
            ended_at=state.finished_at, answers=self.image_version,
        )  # fmt: skip

    def _taken_back(self, past: Past) -> Operation | None:
        """A sync that succeeded, where what was before it was synced again since, or is now; None where not."""
        at = self.history.index(past)
        source = next((each for each in reversed(self.history[:at]) if each.revision != past.revision), None)
        if source is None:
            return None
        sync = self.running.sync if self.running is not None else None
        goes = sync is not None and sync.revision == source.revision
        if not goes and not any(each.revision == source.revision for each in self.history[at + 1 :]):
            return None
        known = self._past(past)
        return Operation(
            id=known.id, state="open" if goes else "rolled_back", back=goes, target=known.target,
            source=Revision(id=source.revision), shares={} if goes else {"stable": 100, "candidate": 0},
            detail=f"{short(source.revision)} {'is being' if goes else 'was'} synced again", answers=self.image_version,
        )  # fmt: skip

    def _past(self, past: Past) -> Operation:
        mine = past is self.deployed
        return Operation(
            id=f"{self.name}/sync-{past.id}-{_when(past.deploy_started_at)}", state="succeeded",
            target=Revision(id=past.revision, version=self.image_version if mine else None), detail="completed",
            began_at=past.deploy_started_at, ended_at=past.deployed_at,
            by=_who(past.initiated_by.username, past.initiated_by.automated),
            answers=self.image_version if mine else None,
        )  # fmt: skip

    def _before(self) -> tuple[Revision | None, bool]:
        """What was synced before, and whether the newest sync, open or ended, was a way back."""
        past = self.deployed
        if past is None:
            return None, False
        state = self.app.status.operation_state
        told = self.running or (state.operation if state is not None else None)
        forward = told is not None and read_stamp(told.note(OP)).step == "release"
        going = self.running.sync if self.running is not None else None
        known = [each.revision for each in self.history]
        if going is not None and going.revision != past.revision:  # judged by what is under way
            return Revision(id=past.revision), not forward and goes_back(known, past.revision, going.revision)
        before = next((revision for revision in reversed(known) if revision != past.revision), None)
        if before is None:
            return None, False
        return Revision(id=before), not forward and goes_back(known, before, past.revision)

    def _phase(self) -> ControllerPhase:
        newest = self.newest
        if self.running is not None:
            return "progressing"
        if newest is not None and newest.left:
            return "degraded"
        phase = _PHASES.get(self.app.status.health.status, "unknown")
        kept = KEPT in (self.app.metadata.annotations or {})
        return (
            "paused" if kept and phase == "healthy" else phase
        )  # not to be forgotten: nothing that is pushed goes out

    def _message(self) -> str:
        app, newest = self.app, self.newest
        if newest is not None and (newest.open or newest.left):
            return newest.detail
        sync, target = app.status.sync, quoted(app.spec.target, 64)
        words = [f"{quoted(sync.status, 32) or 'never compared'} with {target} ({short(sync.revision)})"]
        past = self.deployed
        if past is not None and past.revision != sync.revision:
            words.append(f"{short(past.revision)} was synced last")
        words.append(quoted(app.status.health.status, 32) or "health not known")
        if worst := self.worst:
            words.append(worst)
        words += [f"{each.type}: {quoted(each.message)}" for each in (app.status.conditions or [])[:1]]
        if newest is not None and newest.state == "rolled_back":
            words.append(f"the last sync came to nothing: {newest.detail}")
        if KEPT in (app.metadata.annotations or {}):
            words.append("auto-sync was turned off by this program: `resume` puts it back")
        return ", ".join(words)

    def _why_not(self, before: Revision | None, returned: bool) -> dict[OrderName, str]:
        newest = self.newest
        open_ = newest if newest is not None and newest.open else None
        busy = f"{open_.name} is in progress{f' of {open_.by}' if open_.by else ''}: {open_.detail}" if open_ else ""
        kept = KEPT in (self.app.metadata.annotations or {})
        auto = self.auto_sync_words()
        undone = "the newest sync was a way back" if returned else ""
        pause = "" if auto and not self.owner else NO_PAUSE
        return {
            "release": busy,
            "promote": "Argo CD has none: a sync goes through to its end",
            "abort": "" if self.running is not None else self._no_abort(open_),
            "rollback": busy or undone or ("" if before else "its history has no other revision") or auto,
            "retry": "Argo CD has none: release the revision again",
            "pause": f"{self.owner} would put auto-sync back" if auto and self.owner else pause,
            "resume": "" if kept else "Argo CD has no pause, and auto-sync was not turned off from here",
            "retire": "Argo CD prunes only what a sync is told to prune",
        }

    def _to_any(self) -> tuple[str, ...]:
        """Whether a rollback may name its sync."""
        newest = self.newest
        return (TO,) if newest is not None and not newest.open and not self.auto_sync_words() else ()

    def _no_abort(self, open_: Operation | None) -> str:
        """What is applied and not healthy yet is taken back by a rollback."""
        if open_ is None:
            return "no operation is in progress"
        return self.auto_sync_words() if open_.source is not None else "its history has no other revision"

    def _token(self) -> str:
        newest, past = self.newest, self.deployed
        what = (
            newest.id if newest else "", newest.state if newest else "", past.id if past else -1,
            self.app.spec.automated is not None, KEPT in (self.app.metadata.annotations or {}),
        )  # fmt: skip
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def short(revision: str) -> str:
    """A commit as people call it."""
    is_commit = len(revision) == 40 and all(letter in "0123456789abcdef" for letter in revision)
    return revision[:7] if is_commit else quoted(revision, 64) or "no revision"


def _resource_words(found: Resource) -> str:
    health = found.health
    where = f"{quoted(found.kind, 64)} {quoted(found.name, 128)}"
    said = f": {quoted(health.message)}" if health is not None and health.message else ""
    return f"{where} {health.status if health else '?'}{said}"


def _progress(phase: str, message: str) -> str:
    words = "is being terminated" if phase == "Terminating" else "sync in progress"
    return f"{words}: {quoted(message)}" if message else words


def _when(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ") if at is not None else ""


def _who(username: str, automated: bool) -> str:
    return "auto-sync" if automated else quoted(username, 128) or "somebody"


def _by(running: RunningOperation, began: datetime | None) -> str:
    since = f" since {local_words(began, UTC)}" if began is not None else ""
    return _who(running.initiated_by.username, running.initiated_by.automated) + since


def _parts(ident: str, name: str) -> tuple[int | None, str]:
    """The number in the id of a sync, and when it began."""
    number, _, began = ident.removeprefix(f"{name}/sync-").partition("-")
    return (int(number), began) if number.isascii() and number.isdecimal() else (None, began)
