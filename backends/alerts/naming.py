"""What people call an alert: a fingerprint says nothing to anybody."""

from collections.abc import Iterable, Mapping, Sequence

from backends.models import Alert
from backends.text import clean, link

GROUP_BY = ("cluster", "environment", "namespace", "service", "app")
SUBJECT_LABELS = ("dataset", "pipeline", "dag_id", "service", "instance", "job")
MAX_CHARS = 120
_SUMMARIES = ("summary", "message", "description", "title")


def alert_words(alert: Alert) -> str:
    """Its name, and of what it tells: `DataQualityDegradation dataset=customers`."""
    about = next((f"{label}={alert.labels[label]}" for label in SUBJECT_LABELS if alert.labels.get(label)), "")
    return f"{alert.name} {about}".rstrip()[:MAX_CHARS]


def group_of(name: str, labels: Mapping[str, str], group_by: Iterable[str]) -> str:
    """What it is shown under: its name, and those of its labels that make a group."""
    return " ".join([name, *(f"{key}={labels[key]}" for key in group_by if key != "alertname" and key in labels)])


def summary_of(annotations: Mapping[str, str]) -> str:
    """What it says; empty where it says nothing."""
    return next((words for key in _SUMMARIES if (words := annotations.get(key))), "")


def runbook_of(annotations: Mapping[str, str]) -> str | None:
    """Where it is written what to do: a link, or words without a colon, as `the wiki, page 12`."""
    words = annotations.get("runbook_url") or annotations.get("runbook") or ""
    return link(words, 500) or (clean(words, 500) if ":" not in words else "") or None


def told_apart(alert: Alert, among: Sequence[Alert]) -> str:
    """Its name, and the labels in which those of `among` differ."""
    labels = sorted({label for each in among for label in each.labels})
    differ = [label for label in labels if len({each.labels.get(label, "") for each in among}) > 1]
    words = [f"{label}={alert.labels[label]}" for label in differ if label != "alertname" and alert.labels.get(label)]
    return " ".join([alert.name, *words])[:MAX_CHARS]
