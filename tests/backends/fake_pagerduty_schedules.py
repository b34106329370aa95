"""The schedules and escalation policies of the PagerDuty of `fake_pagerduty`, by its documented rules.

Traps that are real: a schedule of no escalation policy is in no `/oncalls`; what goes over the edge of the range is cut
off there, but for `overflow`; who is a target by himself has no start and no end (null, which the description does not
know: left out here).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from backends.testing.oncall import Turn
from tests.backends.fake_pagerduty import FakePagerDuty, Handler, page_of, reference, refused

MOST = timedelta(days=90)


@dataclass
class FakeSchedules(FakePagerDuty):
    """`turns` of each schedule by name; `policies`: the levels of each, of which one lists schedules, and users by
    themselves behind `@`."""

    turns: dict[str, Sequence[Turn]] = field(default_factory=lambda: {"primary": ()})
    policies: dict[str, list[list[str]]] = field(default_factory=dict)

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Those, before all others."""
        return [
            ("GET", "/schedules", self._schedules),
            ("GET", r"/schedules/(\w+)", self._schedule),
            ("GET", "/escalation_policies", self._policies),
            ("GET", "/oncalls", self._all_on_calls),
            *super().routes(),
        ]

    def final(self, name: str, query: dict[str, list[str]]) -> list[tuple[str, datetime, datetime]]:
        """Who has it by that schedule within the range: overrides cut out of the turns that they stand for."""
        since, until = (datetime.fromisoformat(query[key][0].replace("Z", "+00:00")) for key in ("since", "until"))
        overrides = [turn for turn in self.turns[name] if turn.is_override]
        left = [(turn.who, turn.since, turn.until) for turn in overrides]
        for turn in self.turns[name]:
            if not turn.is_override:
                left += _without(
                    [(turn.who, turn.since, turn.until)], [each for each in self.turns[name] if each.is_override]
                )
        within = [(who, begin, end) for who, begin, end in left if begin < until and since < end]
        if query.get("overflow") != ["true"]:
            within = [(who, max(begin, since), min(end, until)) for who, begin, end in within]
        return sorted(within, key=lambda each: each[1])

    def _schedules(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        return page_of(query, "schedules", [self._named(name) for name in self.turns])

    def _named(self, name: str) -> dict[str, Any]:
        known = reference("schedule", key_of(name), name)
        return {**known, "type": "schedule", "name": name, "time_zone": "Europe/Berlin"}

    def _schedule(self, query: dict[str, list[str]], body: Any, key: str) -> tuple[int, Any]:
        name = next((name for name in self.turns if key_of(name) == key), None)
        if name is None:
            return 404, refused(2100, "Not Found")
        entries = [
            {"start": begin.isoformat(), "end": end.isoformat(), "user": user_of(who)}
            for who, begin, end in self.final(name, query)
        ]
        final = {"name": "Final Schedule", "rendered_schedule_entries": entries, "rendered_coverage_percentage": 50.0}
        return 200, {"schedule": {**self._named(name), "final_schedule": final}}

    def _policies(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        def rule(level: list[str]) -> dict[str, Any]:
            targets = [reference("schedule", key_of(each), each) for each in level if not each.startswith("@")]
            targets += [user_of(each[1:]) for each in level if each.startswith("@")]
            return {"id": "PR", "escalation_delay_in_minutes": 30, "targets": targets}

        found = [
            {**reference("escalation_policy", key_of(name), name), "type": "escalation_policy", "name": name,
             "num_loops": 0, "escalation_rules": [rule(level) for level in levels]}
            for name, levels in self.policies.items()
        ]  # fmt: skip
        return page_of(query, "escalation_policies", found)

    def _all_on_calls(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        found: list[dict[str, Any]] = []
        for name, levels in self.policies.items():
            if key_of(name) not in query.get("escalation_policy_ids[]", [key_of(name)]):
                continue
            policy = reference("escalation_policy", key_of(name), name)
            for number, level in enumerate(levels, 1):
                common = {"escalation_policy": policy, "escalation_level": number}
                for each in level:
                    if each.startswith("@"):
                        found.append({**common, "user": user_of(each[1:])})
                        continue
                    found += [
                        {**common, "user": user_of(who), "schedule": reference("schedule", key_of(each), each),
                         "start": begin.isoformat(), "end": end.isoformat()}
                        for who, begin, end in self.final(each, {**query, "overflow": ["true"]})
                    ]  # fmt: skip
        return page_of(query, "oncalls", found)


def key_of(name: str) -> str:
    """An id of that name, as PagerDuty makes them."""
    return "P" + "".join(letter for letter in name.upper() if letter.isalnum())[:12]


def user_of(who: str) -> dict[str, Any]:
    """A user, as other records name one."""
    return reference("user", key_of(who) if who.isprintable() else "PUSER", who)


def _without(
    left: list[tuple[str, datetime, datetime]], overrides: Sequence[Turn]
) -> list[tuple[str, datetime, datetime]]:
    for cut in overrides:
        parts = []
        for who, begin, end in left:
            if cut.until <= begin or end <= cut.since:
                parts.append((who, begin, end))
                continue
            parts += [(who, begin, cut.since)] if begin < cut.since else []
            parts += [(who, cut.until, end)] if cut.until < end else []
        left = parts
    return left
