"""What people call an alert: a fingerprint says nothing to anybody."""

from collections.abc import Sequence

from backends.models import Alert

SUBJECT_LABELS = ("dataset", "pipeline", "dag_id", "service", "instance", "job")
MAX_CHARS = 120


def alert_words(alert: Alert) -> str:
    """Its name, and of what it tells: `DataQualityDegradation dataset=customers`."""
    about = next((f"{label}={alert.labels[label]}" for label in SUBJECT_LABELS if alert.labels.get(label)), "")
    return f"{alert.name} {about}".rstrip()[:MAX_CHARS]


def told_apart(alert: Alert, among: Sequence[Alert]) -> str:
    """Its name, and the labels in which those of `among` differ."""
    labels = sorted({label for each in among for label in each.labels})
    differ = [label for label in labels if len({each.labels.get(label, "") for each in among}) > 1]
    words = [f"{label}={alert.labels[label]}" for label in differ if label != "alertname" and alert.labels.get(label)]
    return " ".join([alert.name, *words])[:MAX_CHARS]
