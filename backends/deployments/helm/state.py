"""The revisions of a release as a controller's state. Nothing is asked here.

A change is a revision. Helm moves no traffic by shares: what a revision applied takes over as its pods become ready, so
shares are only told at rest, and of a change that failed, whose part that was applied stays.
"""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from backends.deployments.controlled import goes_back, offers
from backends.deployments.helm.store import Mark, Revised
from backends.errors import BackendError
from backends.models import ControllerPhase, ControllerView, OrderName, Revision
from backends.ports import ControllerState, Operation
from backends.ports.controllers import TO, OperationState
from backends.processes import Fate
from backends.redaction import quoted
from backends.times import away, local_words

_BACK = re.compile(r"Rollback to (\d+)")
_MOVED = {"stable": 0, "candidate": 100}
_UNMOVED = {"stable": 100, "candidate": 0}
_CLOCK = timedelta(seconds=2)  # what creation times are told in, and more
_GONE = frozenset({"uninstalling", "uninstalled"})


class Means(Struct, frozen=True, kw_only=True):
    """What an entry can do besides reading. `scope`: ` -n NAMESPACE`, for commands in words. `no_release`, `no_helm`:
    why it releases nothing, and rolls nothing back; empty where it does. `takes_s`: what a command of it may take."""

    scope: str = ""
    no_release: str = ""
    no_helm: str = ""
    takes_s: float = 300.0


class Seen:
    """One look at a release, oldest revision first. `mark`: what this program last began, `fate` what became of its
    process."""

    def __init__(self, name: str, revisions: Sequence[Revised], mark: Mark | None, fate: Fate, means: Means) -> None:
        self.name = quoted(name, 64)
        self.revisions = list(revisions)
        self.mark = mark
        self.fate = fate
        self.means = means
        self.by_number = {each.number: each for each in self.revisions}

    # ---- what there is

    @property
    def last(self) -> Revised:
        """The newest revision."""
        return self.revisions[-1]

    @cached_property
    def deployed(self) -> Revised | None:
        """What runs, as far as Helm says: after a rollback that failed half way, what ran before."""
        found = next((each for each in reversed(self.revisions) if each.status == "deployed"), None)
        if found is None and not self.last.good and self.last.status not in _GONE:
            found = next((each for each in reversed(self.revisions) if each.good), None)
        return found

    @property
    def runs_here(self) -> bool:
        """Whether the process that makes the newest revision is ours and can be ended from this host."""
        return self._is_ours(self.last) and self.last.pending and self.fate in ("here", "left")

    @cached_property
    def is_dead(self) -> bool:
        """Whether the newest revision is pending, and the process of ours that made it is over."""
        mark = self.mark
        if not self.last.pending or mark is None or not self._is_ours(self.last):
            return False
        return bool(mark.ended) or self.fate == "gone"

    @property
    def is_stale(self) -> bool:
        """Whether it is pending for longer than whoever made it can have meant."""
        began = self._began(self.last)
        age_s = (datetime.now(UTC) - began).total_seconds() if began is not None else 0.0
        return self.last.pending and not self.is_dead and age_s > self.means.takes_s

    def to_of(self, found: Revised) -> int:
        """The revision that it went back to; 0 for one that was no rollback."""
        release = found.release
        if self._is_ours(found) and self.mark is not None:
            return self.mark.to
        if release is None:
            return 0
        told = _BACK.fullmatch(release.info.description)
        return release.info.rollback_revision or (int(told[1]) if told else self._failed_back(found))

    def revision_of(self, found: Revised | None) -> Revision | None:
        """As people call it."""
        return None if found is None else Revision(id=str(found.number), version=found.version)

    def good_below(self, number: int) -> Revised | None:
        """The newest revision below that was deployed to its end: where a rollback goes. Never one that failed."""
        return next((each for each in reversed(self.revisions) if each.number < number and each.good), None)

    def numbered(self, revision: str) -> Revised:
        """Raises BackendError(not_found)."""
        found = self.by_number.get(int(revision)) if revision.isascii() and revision.isdecimal() else None
        if found is None:
            known = ", ".join(str(each.number) for each in self.revisions[-10:])
            words = f"release {self.name}: no revision {quoted(revision, 32)}"
            raise BackendError("not_found", words, fix=f"known: {known}")
        return found

    # ---- what it says

    @cached_property
    def newest(self) -> Operation:
        """What made the newest revision."""
        return self._operation(self.last)

    def operation(self, ident: str) -> Operation:
        """What made a revision, and what came after it. Raises BackendError(not_found)."""
        number = ident.removeprefix(f"{self.name}/revision-")
        if number == ident:
            raise BackendError("not_found", f"release {self.name}: no change {quoted(ident)}")
        found = self.numbered(number)
        return self.newest if found is self.last else self._replaced(found)

    @cached_property
    def state(self) -> ControllerState:
        """All of it."""
        newest, deployed = self.newest, self.deployed
        returned = self._goes_back and (newest.open or newest.state == "succeeded") and not self.is_stale
        before = newest.source if newest.left else self.revision_of(self._before)
        view = ControllerView(
            type="helm", phase=self._phase(returned), message=self._message(), stage=newest.stage,
            stable=self.revision_of(deployed), candidate=newest.target if newest.open or newest.left else None,
            orders=offers(self._why_not(before, returned), {"rollback": self._to_any}),
        )  # fmt: skip
        past = {str(each.number): Revision(id=str(each.number), version=each.version) for each in self._past}
        return ControllerState(
            view=view, revision=self._token(), newest=newest, before=before, returned=returned, past=past
        )

    # ---- inside

    def _is_ours(self, found: Revised) -> bool:
        mark, began = self.mark, self._began(found)
        if mark is None or not mark.stamp or mark.revision != found.number:
            return False
        # Until the end of its command is noted, somebody else may have made the revision of that number instead.
        return mark.command is None or began is None or mark.command.since - _CLOCK <= began <= mark.command.until

    def _failed_back(self, found: Revised) -> int:
        """Of a rollback whose description tells how it failed: what it applied is what an older revision did, and not
        what the one before it did."""
        if found.status == "deployed" or not found.digest:
            return 0
        alike = [each.number for each in self.revisions if each.number < found.number and each.digest == found.digest]
        return alike[-1] if alike and alike[-1] != found.number - 1 else 0

    @property
    def _before(self) -> Revised | None:
        return self.good_below(self.deployed.number) if self.deployed is not None else None

    @property
    def _past(self) -> list[Revised]:
        """What was there before what runs came for the first time: a way back is never forward."""
        deployed = self.deployed
        if deployed is None:
            return []
        first = self._first(deployed)
        return [each for each in self.revisions if each.number < first and each.good]

    def _first(self, found: Revised) -> int:
        """The revision that applied the same for the first time."""
        same = (each.number for each in self.revisions if found.digest and each.digest == found.digest)
        return min(same, default=found.number)

    @property
    def _goes_back(self) -> bool:
        """Whether the newest revision is a rollback to what was there before: one to what came later goes forward."""
        to = self.by_number.get(self.to_of(self.last))
        before = self.revisions[:-1]
        was = next((each for each in reversed(before) if each.good), None)
        if to is None or was is None or was is not before[-1]:  # after one that failed every rollback is a way back
            return bool(self.to_of(self.last))
        return goes_back([each.digest for each in before if each.good], was.digest, to.digest)

    def _began(self, found: Revised) -> datetime | None:
        return (found.release.deployed_at if found.release else None) or found.metadata.creation_timestamp

    def _operation(self, found: Revised) -> Operation:
        began, ours, detail = self._began(found), self._is_ours(found), self._detail(found)
        state: OperationState = "unknown"
        source, shares = self.good_below(found.number), dict[str, int]()
        if found.pending and not self.is_dead:
            state = "open"
        elif found.pending or found.status == "failed":
            state, shares = "failed", _MOVED
            source = self.by_number.get(self.to_of(found), source)  # a way back that failed goes there again
        elif found.status == "deployed":
            state = "succeeded"
        stamp = self.mark.stamp if ours and self.mark is not None else ""
        since = f" since {local_words(began, UTC)}" if began else ""
        return Operation(
            id=f"{self.name}/revision-{found.number}", state=state, target=self._target(found),
            source=self.revision_of(source), shares=shares, undone_by_us=True,
            stage=found.status if state == "open" else "",
            stamp=stamp, by="" if ours else f"somebody{since}",
            ask="" if ours else f"`helm history {self.name}{self.means.scope}` shows more; {self._way_out()}",
            answers=found.version, detail=detail, began_at=began,
        )  # fmt: skip

    def _target(self, found: Revised) -> Revision:
        return Revision(id=str(found.number), version=found.version)

    def _replaced(self, found: Revised) -> Operation:
        """What made a revision that is not the newest."""
        mine = self._operation(found)
        if found.pending:
            mine = _with(mine, "failed", f"{found.status}, left by whoever made it", _MOVED)
        later = [each for each in self.revisions if each.number > found.number]
        back = next((each for each in later if 0 < self.to_of(each) < found.number), None)
        if back is None:
            words = f"replaced by revision {later[0].number}"
            return _with(mine, "stopped", words, _UNMOVED)
        words = f"revision {back.number}: {self._detail(back)}"
        if back.good:
            return _with(mine, "rolled_back", words, _UNMOVED)
        if back is self.last and self.newest.open:
            return _with(mine, "open", words, {}, back=True)
        return _with(mine, "failed", words, _MOVED)

    def _detail(self, found: Revised) -> str:
        """How a revision is, in one line."""
        release, began = found.release, self._began(found)
        chart = release.chart.metadata if release else None
        what = f"{quoted(chart.name, 64)} {quoted(chart.version, 64)}" if chart and chart.name else ""
        said = quoted(release.info.description) if release else ""
        if not found.pending:
            return ", ".join(part for part in (found.status, what, said) if part)
        since = f" since {local_words(began, UTC)} ({away(began)})" if began else ""
        words = f"{found.status}{since}"
        mark = self.mark
        if self._is_ours(found) and mark is not None:
            if mark.ended:
                return f"{words}: {mark.ended}"
            if self.fate == "gone":
                return f"{words}: the helm that made it is gone"
            return f"{words}: {mark.command}" if mark.command else words
        if found is self.last and self.is_stale:
            return f"{words}: whoever made it is probably gone"
        return f"{words}: whoever made it may be at work still"

    def _way_out(self) -> str:
        """Of a pending revision that nobody of ours makes."""
        good = self.good_below(self.last.number)
        if good is None:
            return f"once nobody runs helm on it, `helm uninstall {self.name}{self.means.scope}` clears it"
        return (
            f"once nobody runs helm on it, `helm rollback {self.name} {good.number}{self.means.scope} --wait` clears it"
        )

    def _phase(self, returned: bool) -> ControllerPhase:
        newest = self.newest
        if newest.open:
            return "unknown" if self.is_stale else "rolling_back" if returned else "progressing"
        if newest.state == "succeeded":
            return "healthy"
        return "degraded" if newest.state == "failed" else "unknown"

    def _message(self) -> str:
        newest, deployed = self.newest, self.deployed
        if newest.state == "succeeded":
            app = self.last.release.chart.metadata.app_version if self.last.release else ""
            began = self._began(self.last)
            words = f"revision {self.last.number} {newest.detail}"
            words += f", app {quoted(app, 64)}" if app else ""
            return words + (f", {local_words(began, UTC)}" if began else "")
        words = f"revision {self.last.number} {newest.detail}"
        if newest.left and deployed is not None:
            words += f"; what it applied stays beside revision {deployed.number}"
        return words

    def _why_not(self, before: Revision | None, returned: bool) -> dict[OrderName, str]:
        newest, means = self.newest, self.means
        last = f"revision {self.last.number} is {newest.detail}"
        busy = f"{last}; {self._way_out()}" if newest.open and not self._is_ours(self.last) else ""
        busy = busy or (last if newest.open else "")
        gone = f"{last}: it was uninstalled" if self.last.status in _GONE else ""
        stuck = f"{last}: Helm upgrades nothing that is pending; roll back first" if self.is_dead else ""
        none = "no revision before it was deployed to its end"
        return {
            "release": busy or gone or stuck or means.no_release,
            "promote": "Helm has none: an upgrade goes through to its end",
            "abort": means.no_helm if self.runs_here else self._no_abort(busy),
            "rollback": busy or gone or ("the newest change was a way back" if returned else "")
            or ("" if before else none) or means.no_helm,
            "retry": "Helm has none: release the version again",
            "pause": "Helm has none: an upgrade goes through to its end",
            "resume": "Helm has none: an upgrade goes through to its end",
            "retire": "Helm deletes with each upgrade what the chart has no more",
        }  # fmt: skip

    def _no_abort(self, busy: str) -> str:
        if not self.newest.open:
            return "no change is under way"
        if self._is_ours(self.last) and self.mark is not None and self.mark.command is not None:
            return f"{busy}: it can only be ended on {self.mark.command.host}"
        return busy

    @property
    def _to_any(self) -> tuple[str, ...]:
        """Whether a rollback may name its revision."""
        at_rest = not self.newest.open and self.last.status not in _GONE
        return (TO,) if at_rest and not self.means.no_helm else ()

    def _token(self) -> str:
        deployed = self.deployed
        what = (
            self.last.number, self.last.status, deployed.number if deployed else 0, self.is_dead, self.newest.stamp,
            self.last.metadata.uid,
        )  # fmt: skip
        return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _with(
    found: Operation, state: OperationState, detail: str, shares: dict[str, int], *, back: bool = False
) -> Operation:
    return replace(found, state=state, detail=detail, shares=shares, back=back, stage="")
