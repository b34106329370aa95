"""Who is on call by the schedules and escalation policies of PagerDuty, overrides included.

```toml
[[contexts.production.oncall]]
type = "pagerduty"
token = { env = "PAGERDUTY_TOKEN" }      # a user's own: then "you are on call" is that user
# url = "https://api.eu.pagerduty.com"   # the EU region
schedules = ["Data primary"]             # by name or id
escalation_policies = ["Data on call"]   # by name or id: each of its levels is a row
```
API: https://developer.pagerduty.com/api-reference (Get a schedule, List all of the on-calls)
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from msgspec import Raw, Struct

from backends.errors import BackendError
from backends.models import OnCall
from backends.oncall.shifts import AHEAD, BEHIND, Span, schedule_of
from backends.pagerduty.api import PagerDutyAccess, PagerDutyApi, ids_of, page_of, path_of
from backends.registry import AdapterContext
from backends.text import clean
from backends.together import few_at_a_time, together

MAX_SCHEDULES = 50
SIDE_BY_SIDE = 4
N = TypeVar("N", bound="_Named")


class PagerDutyScheduleConfig(PagerDutyAccess, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which schedules and escalation policies; with neither all schedules that the token sees.

    schedules: by name or id.
    escalation_policies: by name or id; each level is told of, also one that has nobody.
    """

    schedules: tuple[str, ...] = ()
    escalation_policies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all((*self.schedules, *self.escalation_policies)):
            raise ValueError("schedules, escalation_policies: none of them empty")


class _Named(Struct, frozen=True):
    id: str
    summary: str = ""
    name: str = ""
    html_url: str = ""

    @property
    def named(self) -> str:
        return clean(self.name or self.summary or self.id, 100)


class _Entry(Struct, frozen=True):
    start: datetime
    end: datetime
    user: _Named | None = None


class _Final(Struct, frozen=True):
    rendered_schedule_entries: tuple[_Entry, ...] = ()


class _Schedule(_Named, frozen=True):
    final_schedule: _Final | None = None


class _One(Struct, frozen=True):
    schedule: _Schedule


class _Policy(_Named, frozen=True):
    escalation_rules: tuple[Raw, ...] = ()


class _OnCall(Struct, frozen=True):
    """`start` and `end` are null of who is always on call."""

    user: _Named
    escalation_policy: _Named
    escalation_level: int
    start: datetime | None = None
    end: datetime | None = None


class PagerDutySchedules:
    """`Schedules` of an account, asked as the token's own user; a general key is nobody's."""

    api = 1
    Config = PagerDutyScheduleConfig

    def __init__(self, config: PagerDutyScheduleConfig, context: AdapterContext) -> None:
        self._config = config
        self._name = context.name
        self._api = PagerDutyApi(config, context)
        self._chosen: tuple[list[_Named], list[_Policy]] | None = None
        self.me: tuple[str, ...] = ()

    async def on_call(self, at: datetime) -> list[OnCall]:
        """As the port says. A schedule that is not there any more is `unknown`."""
        user = await self._api.me()
        self.me = (user.name, user.email) if user is not None else ()
        if self._chosen is None:
            self._chosen = await together(self._schedules(), self._policies())
        schedules, policies = self._chosen
        window = {"since": _stamp(at - BEHIND), "until": _stamp(at + AHEAD), "time_zone": "UTC"}
        found, levels = await together(
            few_at_a_time(SIDE_BY_SIDE, (partial(self._schedule, each, at, window) for each in schedules)),
            self._levels(policies, at, window),
        )
        return [*found, *levels]

    async def aclose(self) -> None:
        """Safe to call twice."""
        await self._api.aclose()

    # ---- which

    async def _schedules(self) -> list[_Named]:
        wanted = self._config.schedules
        if not wanted and self._config.escalation_policies:
            return []
        known, _ = await self._api.pages("/schedules", "schedules", _Named)
        if not wanted and len(known) > MAX_SCHEDULES:
            words = f"schedules: the token sees {len(known)}, more than {MAX_SCHEDULES}"
            raise BackendError("config", words, fix="name those that this context is about")
        return _wanted("schedules", wanted, known) if wanted else known

    async def _policies(self) -> list[_Policy]:
        wanted = self._config.escalation_policies
        if not wanted:
            return []
        known, _ = await self._api.pages("/escalation_policies", "escalation_policies", _Policy)
        return _wanted("escalation_policies", wanted, known)

    # ---- who

    async def _schedule(self, named: _Named, at: datetime, window: dict[str, str]) -> OnCall:
        ref, url = f"{self._name}/{named.id}", page_of(named.html_url)
        tell = partial(schedule_of, self._name, named.named, ref=ref, url=url)
        reason = "PagerDuty gave no final schedule"
        try:
            # What begins before the window or ends after it is cut off at its edge, but for `overflow`.
            asked = {**window, "overflow": "true"}
            schedule = (await self._api.get(path_of("schedules", named.id), _One, asked)).schedule
        except BackendError as error:
            if error.kind != "not_found":
                raise
            self._chosen, schedule, reason = None, _Schedule(named.id), "the schedule is not there any more"
        if schedule.final_schedule is None:
            return tell((), at, unknown=reason)
        return tell([
            Span(each.user.named, each.start, each.end)
            for each in schedule.final_schedule.rendered_schedule_entries if each.user is not None
        ], at)  # fmt: skip

    async def _levels(self, policies: Sequence[_Policy], at: datetime, window: dict[str, str]) -> list[OnCall]:
        if not policies:
            return []
        asked = {**window, "escalation_policy_ids[]": [policy.id for policy in policies]}
        found, is_all = await self._api.pages("/oncalls", "oncalls", _OnCall, asked)
        spans: dict[tuple[str, int], list[Span]] = {}
        for each in found:
            span = Span(each.user.named, each.start, each.end)
            spans.setdefault((each.escalation_policy.id, each.escalation_level), []).append(span)
        return [
            schedule_of(
                self._name,
                policy.named + (f", level {level}" if len(policy.escalation_rules) > 1 else ""),
                spans.get((policy.id, level), ()),
                at,
                ref=f"{self._name}/{policy.id}/{level}",
                url=page_of(policy.html_url),
                unknown="" if is_all else "there are more shifts than can be read: name fewer `escalation_policies`",
            )
            for policy in policies
            for level in range(1, max(1, len(policy.escalation_rules)) + 1)
        ]


def _wanted(key: str, wanted: Sequence[str], known: Sequence[N]) -> list[N]:
    """Raises BackendError(config) for what is not there."""
    by_id = {each.id: each for each in known}
    return [by_id[id_] for id_ in ids_of(key, wanted, {each.id: each.named for each in known})]


def _stamp(at: datetime) -> str:
    """In whole seconds: PagerDuty has nobody between two fractions of one."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
