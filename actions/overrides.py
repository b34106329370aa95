"""Overrides that go past nothing: a word that is misspelt, or one that is not needed now."""

import re
from collections.abc import Iterable

from actions.models import Plan

KNOWN = frozenset(
    {
        "alarms", "alerts", "autoscaler", "backup", "baseline", "capacity", "credentials-end", "deletes", "endpoints",
        "freeze", "gate-series", "grant", "identity", "immutable", "killed-at-logout", "matches-all",
        "matches-watchdog", "metrics", "namespace", "nginx-master", "other-journal", "other-version", "owner",
        "owner-codedeploy", "owner-ecs", "owner-ingress", "owners", "preview", "probe", "quality", "rejected",
        "revision", "rollback-failed", "rollback-window", "route", "runs", "switch-validate", "unknown-param",
    }
)  # fmt: skip
"""What findings of this program are called that an override goes past; those of installed adapters are not in it."""
_COUNTED = r"(matches|linked)-\d+"


def is_known(word: str) -> bool:
    """Whether some plan may have such a finding."""
    return word in KNOWN or re.fullmatch(_COUNTED, word) is not None


def idle(plan: Plan, overrides: Iterable[str]) -> list[str]:
    """Those of `overrides` that no finding of `plan` is called."""
    there = {finding.code for finding in plan.findings}
    return [word for word in dict.fromkeys(overrides) if word not in there]


def words_of(plan: Plan, word: str) -> str:
    """The refusal of `word`, which no finding of `plan` is called: it names the findings that can be overridden."""
    codes = dict.fromkeys(finding.code for finding in plan.findings if finding.overridable)
    named = f"this plan has {', '.join(codes)}" if codes else "nothing in this plan needs an override"
    return f"--override {word}: no finding of this plan is called so; {named}"
