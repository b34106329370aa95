"""An action that is held: evidence is missing, so nothing moves, and everybody is told why and until when."""

from msgspec import Struct

from actions.endings import Failed
from actions.kinds import kind_of
from actions.models import ActionError
from actions.switching.looks import Looks, Seen
from actions.work import Work
from backends.command_line import command
from backends.settings import Duration

HOLD_S = 600.0


class Missing(Struct, frozen=True, kw_only=True):
    """Evidence that is missing. `at_most_s`: how long that is borne; None: until somebody decides. `page`: somebody
    should know of it now, since nothing works."""

    words: str
    at_most_s: float | None
    page: bool = False


class Hold:
    """The hold of one phase. `missing_s`: how long evidence may be missing below 100 percent before traffic goes
    back."""

    def __init__(self, work: Work, *, full: bool, missing_s: float = HOLD_S) -> None:
        self._work = work
        self._full = full
        self._missing_s = missing_s

    def missing(self, words: str) -> Missing:
        """Evidence is; at 100 percent until somebody decides, since a flip back would be as blind."""
        return Missing(words=words, at_most_s=None if self._full else self._missing_s)

    async def told(self, missing: Missing | None) -> None:
        """It goes on, or what keeps it. Raises Failed at the end of the hold."""
        work = self._work
        left_s = work.hold_left_s()
        if missing is None:
            await work.released("the evidence is there")
            await work.stand()
            return
        if left_s is None:
            # The reason may change from look to look; what is shown is why the hold began.
            await work.held(missing.words, missing.at_most_s)
        elif left_s <= 0:
            lasted = "" if missing.at_most_s is None else f" for {Duration(round(missing.at_most_s, 3))}"
            raise Failed(f"nothing could be proven{lasted}: {missing.words}", "unproven")
        kind = "target_unhealthy" if missing.page else "held"
        await work.stand(ActionError(kind=kind, message=f"held: {work.hold_why()}", fix=self._ways()))

    def _ways(self) -> str:
        if kind_of(self._work.plan.kind).back:
            return command("action watch", self._work.action_id)
        back = command("deploy rollback", self._work.plan.service)
        return f'{command("action accept", self._work.action_id)} --reason "…", or {back}'


class Holding(Hold):
    """That of a phase in which a side is looked at. `all_down_s`: how long it is borne that nothing works."""

    def __init__(self, work: Work, looks: Looks, *, full: bool, missing_s: float = HOLD_S, all_down_s: float) -> None:
        super().__init__(work, full=full, missing_s=missing_s)
        self._looks = looks
        self._all_down_s = all_down_s

    def failing(self, *seen: Seen) -> Missing | None:
        """What keeps it that is not the failure of the side that is looked at: that nothing works, or one of `seen`."""
        newest = self._looks.newest
        if self._looks.in_a_row("all down"):
            return Missing(words=newest.detail, at_most_s=self._all_down_s, page=True)
        return self.missing(newest.detail) if self._looks.in_a_row("all down", *seen) else None
