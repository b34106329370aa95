"""The words of an action: what was asked, what would be done, what was done. Field for field the JSON
(docs/contract.md, JSON)."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from actions.described import KeptEntry
from actions.expected import Expected
from actions.kinds import TABLE
from actions.kinds import GuardClass as GuardClass
from backends.models import Finding as Finding
from backends.models import Matcher

ActionKind = Annotated[str, Meta(extra_json_schema={"enum": sorted(TABLE)})]
"""The name of a record in `actions.kinds`; in an old journal, or a newer one, it may be none of them."""

ActionStatus = Literal[
    "planned", "awaiting_approval", "running", "paused", "in_doubt", "conflict", "rolling_back",
    "succeeded", "rolled_back", "aborted", "rollback_failed", "abandoned",
]  # fmt: skip
StepStatus = Literal["pending", "running", "succeeded", "failed", "skipped"]

ENDED: frozenset[ActionStatus] = frozenset({"succeeded", "rolled_back", "aborted", "rollback_failed", "abandoned"})

OrderWord = Literal["pause", "resume", "promote", "accept", "abort", "rollback", "takeover", "abandon"]
"""What may be ordered of an action that is open."""

ORDER_CLASS: dict[OrderWord, GuardClass] = {
    "pause": "R", "abort": "R", "rollback": "R",
    "resume": "3", "promote": "3", "accept": "3", "takeover": "3", "abandon": "3",
}  # fmt: skip


Params = dict[str, Any]
"""What a run is triggered with: JSON by name, which only its pipeline knows the meaning of."""

E = TypeVar("E", bound=Expected)


class Request(Struct, frozen=True, kw_only=True):
    """What an operator asked for, bound to the thing itself. `service`: a deployment, `backend/pipeline` of a run, or
    `backend/…` of an alert or a silence.

    `ref` is the run for retry, cancel and approve; `to` a flip's color (empty: the other one); `params` a trigger's.
    Of alerts, `ref` is the alert or the silence; a silence may have `matchers` instead, and lasts for `for_s` seconds;
    one that is extended may be told to end at `until`, also earlier than it does.
    `version` is what a release puts on the idle color or a reject rejects, `strategy` how traffic is moved there
    (empty: all at once), of a promote what it skips (`full`, `skip-step`). A freeze lasts for `for_s`, or until
    it is taken back. With `order` set it is an order to the open action `ref`, whose `kind` and `service` it has.
    """

    kind: ActionKind
    service: str
    ref: str = ""
    to: str = ""
    params: Params = field(default_factory=dict)
    matchers: tuple[Matcher, ...] = ()
    for_s: float | None = None
    until: datetime | UnsetType = UNSET
    timeout_s: float | None = None
    overrides: tuple[str, ...] = ()
    version: str = ""
    strategy: str = ""
    order: OrderWord | Literal[""] = ""


class PlanSummary(Struct, frozen=True, kw_only=True):
    """The part of a plan that is shown and kept: effects in words, what must still hold at the write, how to undo."""

    effects: tuple[str, ...]
    preconditions: tuple[str, ...]
    undo: str


class Plan(Struct, frozen=True, kw_only=True):
    """What will be sent. `hash` covers the facts of its kind (`actions/facts.py`), nothing else; `full_hash`
    is the whole of it, empty in a journal written before 0.2.

    `already` means that reality is the target now: nothing will be written. `expected` is what was observed that the
    write compares with, a Struct of the family of its kind; `target` is the entry of the config that will be driven.
    One is read by `actions.journal.rows.plan_from`, which knows the family. `needs_reason` says why it must not be done
    without one; empty: it may. `about`: what people call `service` where that is a ref that says nothing to them.
    """

    kind: ActionKind
    context: str
    service: str
    guard_class: GuardClass
    protected: bool
    from_: str = field(name="from")
    to: str
    findings: tuple[Finding, ...]
    summary: PlanSummary
    hash: str
    full_hash: str = ""
    made_at: datetime
    already: bool = False
    expected: Expected = Expected()
    target: KeptEntry = KeptEntry()
    request: Request
    needs_reason: str = ""
    about: str = ""

    @property
    def named(self) -> str:
        """What it is done to, as people call it."""
        return self.about or self.service

    def expecting(self, family: type[E]) -> E:
        """`expected`, of a kind of that family. Raises TypeError for another: whoever asks has taken it for that."""
        if not isinstance(self.expected, family):
            raise TypeError(f"a plan to {self.kind} goes by no {family.__name__}")
        return self.expected

    @property
    def blocked(self) -> bool:
        """True where a finding forbids it."""
        return any(finding.level == "block" for finding in self.findings)

    @property
    def must_be_armed(self) -> bool:
        """Whether its context must be named, or its console armed, and a reason given."""
        return self.protected and self.guard_class in ("2", "3")


class Step(Struct, frozen=True, kw_only=True):
    """One journalled step of an action; `detail` is what was observed, in words. `until`: when a running one is over,
    where it watches for a given time, or is given up."""

    name: str
    status: StepStatus = "pending"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    until: datetime | None = None
    detail: str = ""


class PhaseSeen(Struct, frozen=True):
    """Fresh requests of one phase, and how many of them failed."""

    requests: int = 0
    errors: int = 0


class SwitchReport(Struct, frozen=True, kw_only=True):
    """What fresh requests saw in all phases of an action that moved traffic, and in each. Seconds count from the write;
    null where it was never seen, or not known: whoever goes on for another runner sees a side answer, not since when
    (`new_seen`). `last_old_s` is of a side that was to have no traffic any more."""

    requests: int
    errors: int
    first_new_s: float | None
    last_old_s: float | None
    new_seen: bool = False
    phases: dict[str, PhaseSeen] = {}


class Hold(Struct, frozen=True, kw_only=True):
    """Why an open action does not go on. `until`: when it goes back by itself; null where only a person ends it."""

    why: str
    since: datetime
    until: datetime | None = None


class Owner(Struct, frozen=True, kw_only=True):
    """The runner that holds or held the lease. `lease_over` is judged by the journal's clock when it is read.

    `lock` is the file that it keeps locked on its host for its life; empty where it has none. `seen_at`: when it last
    won, renewed or ended the lease. `boot`: which boot of the host that was, and `lease_ends_s` the end of the lease by
    its clock since boot, which nobody can set; empty and 0 where that is not known.
    """

    user: str
    host: str
    pid: int
    lease_expires_at: datetime | None = None
    lease_over: bool = False
    lock: str = ""
    seen_at: datetime | None = None
    boot: str = ""
    lease_ends_s: float = 0.0


class Actor(Struct, frozen=True, kw_only=True):
    """Who asked: the login user, the user behind sudo, where the SSH connection came from, this host, the terminal."""

    login: str
    sudo_user: str = ""
    ssh_source: str = ""
    host: str = ""
    tty: str = ""

    @property
    def person(self) -> str:
        """Who it is, also behind sudo."""
        return self.sudo_user or self.login

    def __str__(self) -> str:
        return f"{self.person}@{self.host}"


class OpenConsole(Struct, frozen=True, kw_only=True):
    """Somebody who looks at the same context: an open console, and when it last said so."""

    actor: Actor
    pid: int
    armed: bool = False
    opened_at: datetime | None = None
    seen_at: datetime | None = None


class Watch(Struct, frozen=True):
    """From when to when somebody had a console open; one that still is, until it last said so."""

    opened_at: datetime
    closed_at: datetime


class ActionError(Struct, frozen=True, kw_only=True):
    """Why an action ended badly: a kind (as BackendError, or `refused`, `verify_failed` …), words, what to do."""

    kind: str
    message: str
    fix: str = ""


class GateView(Struct, frozen=True, kw_only=True):
    """A gate of the stage that runs, or ran last: what it says of the stage (`word`: pass, fail, inconclusive), and of
    its newest sample, taken `at`; `reason` is why that has no verdict. `unit`: `share` (0..1), `s` or empty. `last` are
    the values of the last samples, oldest first. `frozen`: production is that of before stage one."""

    name: str
    word: str
    sample: str
    reason: str = ""
    words: str = ""
    unit: str = ""
    value: float | None = None
    limit: float | None = None
    production: float | None = None
    frozen: bool = False
    requests: float | None = None
    passes: int = 0
    dry_run: bool = False
    at: datetime | None = None
    last: tuple[float | None, ...] = ()


class Pause(Struct, frozen=True, kw_only=True):
    """Who paused an open action, when and why."""

    by: str
    since: datetime
    reason: str = ""


class Action(Struct, frozen=True, kw_only=True):
    """An action as everybody sees it (`teal/v1/action`). `hold` is set while evidence is missing; `gates` are those of
    the newest stage. `orphaned_since`: the last sign of its runner, where it is open and nobody runs it. `stopped_pid`:
    its runner, where that is a process of this host that is stopped; else 0. `about`: as of its plan.
    `paused`: by whom it stands, where a person ordered that. `no_way_on`: why nobody could go on with it forward, where
    nobody runs it."""

    id: str | None
    kind: ActionKind
    service: str
    status: ActionStatus
    phase: str
    from_: str = field(name="from")
    to: str
    changed: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    steps: tuple[Step, ...] = ()
    switch: SwitchReport | None = None
    findings: tuple[Finding, ...] = ()
    plan_hash: str = ""
    reason: str = ""
    actor: Actor | None = None
    owner: Owner | None = None
    plan: PlanSummary | None = None
    undo: str = ""
    ref: str | None = None
    version: str = ""
    strategy: str = ""
    for_s: float | None = None
    hold: Hold | None = None
    gates: tuple[GateView, ...] = ()
    error: ActionError | None = None
    orphaned_since: datetime | None = None
    stopped_pid: int = 0
    about: str = ""
    paused: Pause | None = None
    no_way_on: str = ""

    @property
    def named(self) -> str:
        """What it is done to, as people call it."""
        return self.about or self.service

    @property
    def open(self) -> bool:
        """True until it has ended."""
        return self.status not in ENDED


def is_starting(action: Action) -> bool:
    """Whether no runner had it yet: one is being started, or that has failed."""
    return action.open and action.owner is None


class Consent(Struct, frozen=True, kw_only=True):
    """How the operator agreed. `confirmed`: `-y`, or the button of the plan screen. `typed_context` was typed
    or given to `--confirm`; `armed` is the console's; `plan_hash` what was agreed to; `interactive`: a terminal."""

    confirmed: bool = False
    typed_context: str = ""
    armed: bool = False
    reason: str = ""
    plan_hash: str = ""
    idempotency_key: str = ""
    interactive: bool = False


class Refused(Exception):
    """The gate said no and nothing changed. `exit_code`: docs/contract.md; `error` says what, where, what to do."""

    def __init__(self, exit_code: int, error: ActionError, *, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(error.message)
        self.exit_code = exit_code
        self.error = error
        self.findings = findings
