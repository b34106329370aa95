"""The panels by name, and the keys that show one alone."""

from console.ports.table import PORTS, readings

TIMELINE, CAUSES = "timeline", "causes"
DERIVED = {TIMELINE: ("6", "Timeline"), CAUSES: ("8", "Causes")}
"""What is made of the things of all ports: its key and heading. `causes` is shown alone."""


def names() -> tuple[str, ...]:
    """The panels, those with a key of their own first."""
    keys = keyed()
    return (*keys.values(), *(name for name, port in PORTS.items() if port.place and not port.place.key))


def keyed() -> dict[str, str]:
    """Those with a key of their own, by it, in its order."""
    placed = {port.place.key: name for name, port in PORTS.items() if port.place and port.place.key}
    return dict(sorted((placed | {key: name for name, (key, _) in DERIVED.items()}).items()))


def of_timeline() -> list[str]:
    """The panels whose news are of the timeline too."""
    return [*(name for name, reading in readings() if reading.checked == "whole"), TIMELINE]
