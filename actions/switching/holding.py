"""An action that is held: evidence is missing, so nothing moves forward, and everybody is told why and until when."""

from msgspec import Struct

from actions.endings import Failed
from actions.journal.steering import HELD_BACK, NO_WAY_ON
from actions.kinds import kind_of
from actions.models import ActionError
from actions.switching.looks import Looks, Seen
from actions.work import Work
from backends.command_line import command
from backends.settings import Duration

HOLD_S = 600.0
REST_DOWN = "rest_down"


class Missing(Struct, frozen=True, kw_only=True):
    """What is missing. `at_most_s`: how long that is borne; None: until somebody decides. `kind`: `held` where it is
    evidence, that a person may do without; `unreachable` where nobody can look, and `target_unhealthy` where nothing
    works and somebody should know of it now: no order goes on past these; `rest_down` where it is the side that has the
    rest of the traffic; `held_back` where what was recorded since speaks against it. `fix`: what ends it, where its
    kind does not say that."""

    words: str
    at_most_s: float | None
    kind: str = "held"
    fix: str = ""


class PhaseHold:
    """The hold of one phase. `missing_s`: how long evidence may be missing below 100 percent before traffic goes
    back."""

    def __init__(self, work: Work, *, full: bool, missing_s: float = HOLD_S) -> None:
        self._work = work
        self._full = full
        self._missing_s = missing_s

    def missing(self, words: str, kind: str = "held", fix: str = "") -> Missing:
        """Evidence is; at 100 percent until somebody decides, since a flip back would be as blind."""
        return Missing(words=words, at_most_s=None if self._full else self._missing_s, kind=kind, fix=fix)

    async def told(self, missing: Missing | None) -> None:
        """Begin, keep up or end the hold as `missing` says; None: nothing is. Raises Failed when its time is over."""
        work = self._work
        left_s = work.hold.left_s()
        if missing is None:
            await work.released("the evidence is there")
            await work.stand()
            return
        before = work.hold.kind()
        if left_s is not None and HELD_BACK in (before, missing.kind) and before != missing.kind:
            left_s = None  # the one has ended, and the other has just begun
        if left_s is None:
            await work.held(missing.words, missing.at_most_s, missing.kind)
        elif left_s <= 0:
            lasted = "" if missing.at_most_s is None else f" for {Duration(round(missing.at_most_s, 3))}"
            raise Failed(f"nothing could be proven{lasted}: {missing.words}", "unproven")
        elif before != missing.kind:  # the words may change from look to look: those of the first are shown
            await work.held(missing.words, left_s, missing.kind)
        if missing.kind in NO_WAY_ON:
            await work.no_way_on(missing.words)
        await work.stand(ActionError(kind=missing.kind, message=f"held: {work.hold.why()}", fix=self._ways(missing)))

    def _ways(self, missing: Missing) -> str:
        plan = self._work.plan
        if missing.fix:
            return missing.fix
        if kind_of(plan.kind).back:
            return command("action watch", self._work.action_id)
        back = command("deploy rollback", plan.service)
        if missing.kind == REST_DOWN:  # where a rollback would lead, nobody is served
            accept = command("action accept", self._work.action_id, reason="WHY")
            return f"make {plan.from_.upper()} healthy, it goes on by itself then; or go on without it: {accept}"
        if missing.kind == "target_unhealthy":
            to, from_ = plan.to.upper() or "the new side", plan.from_.upper() or "the old side"
            return f"make {to} healthy, it goes on by itself then; or make {from_} healthy, then {back}"
        if missing.kind in NO_WAY_ON:
            return f"see that it answers, it goes on by itself then; or {back}"
        return f'{command("action accept", self._work.action_id)} --reason "…", or {back}'


class Holding(PhaseHold):
    """That of a phase in which a side is looked at. `all_down_s`: how long it is borne that nothing works."""

    def __init__(self, work: Work, looks: Looks, *, full: bool, missing_s: float = HOLD_S, all_down_s: float) -> None:
        super().__init__(work, full=full, missing_s=missing_s)
        self._looks = looks
        self._all_down_s = all_down_s

    def failing(self, *seen: Seen, kind: str = "held") -> Missing | None:
        """What keeps it that is not the failure of the side that is looked at: that nothing works, or one of `seen`,
        of that `kind`."""
        newest = self._looks.newest
        if self.nothing_works:
            return Missing(words=newest.detail, at_most_s=self._all_down_s, kind="target_unhealthy")
        if self._looks.in_a_row("rest down"):
            return self.missing(newest.detail, REST_DOWN)
        return self.missing(newest.detail, kind) if self._looks.in_a_row("all down", "rest down", *seen) else None

    @property
    def nothing_works(self) -> bool:
        """Whether no side does, or none can be reached."""
        return self._looks.in_a_row("all down")
