"""What traffic is moved in: rules of listeners, and their default actions, by their ARNs.

Source: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-listeners.html
"""

import re
from typing import Any, Literal

from msgspec import Struct

from backends.text import clean

_ARN = re.compile(
    r"arn:(?P<partition>aws[\w-]*):elasticloadbalancing:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):"
    r"(?P<kind>listener-rule|listener|targetgroup)/(?P<path>[\w./-]+)",
    re.ASCII,
)
_PARTS = {"listener-rule": 5, "listener": 4, "targetgroup": 2}
_LIKE = {
    "listener-rule": "arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID",
    "listener": "arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener/app/NAME/ID/ID",
    "targetgroup": "arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID",
}
Kind = Literal["listener-rule", "listener", "targetgroup"]


class Place(Struct, frozen=True):
    """A rule, or a listener for its default action, or a target group. `name`: of the load balancer, or the group."""

    arn: str
    kind: Kind
    region: str
    account: str
    name: str

    @property
    def listener(self) -> str:
        """The ARN of the listener that it is, or is a rule of."""
        if self.kind == "listener":
            return self.arn
        return self.arn.replace(":listener-rule/", ":listener/").rpartition("/")[0]

    @property
    def words(self) -> str:
        """Short, for people: `rule …/0f2a of lb`, `default of listener …/77c1 of lb`."""
        short = self.arn.rpartition("/")[2][-6:]
        if self.kind == "targetgroup":
            return self.name
        return f"rule …{short} of {self.name}" if self.kind == "listener-rule" else f"default …{short} of {self.name}"

    @property
    def dimension(self) -> str:
        """As CloudWatch calls it: `app/NAME/ID`, `targetgroup/NAME/ID`."""
        path = self.arn.rpartition(":")[2]
        return path if self.kind == "targetgroup" else "/".join(path.split("/")[1:4])


def dimensions(data: dict[str, Any], color: str) -> dict[str, str]:
    """How CloudWatch calls the target group of `color` and the load balancer, of the entry of any type that has them;
    nothing for an entry without."""
    try:
        group = place_of("target_groups", data["target_groups"][color], "targetgroup")
        if rules := data.get("rules"):
            moved = place_of("rules", rules[0], "listener-rule")
        else:
            moved = place_of("listeners", data["listeners"][0], "listener")
    except (IndexError, KeyError, TypeError, ValueError):
        return {}
    return {"target_group": group.dimension, "load_balancer": moved.dimension}


def place_of(key: str, arn: str, kind: Kind) -> Place:
    """Of an ARN in the config under `key`. Raises ValueError with what it should look like."""
    found = _ARN.fullmatch(arn)
    parts = found["path"].split("/") if found else []
    if found is None or found["kind"] != kind or len(parts) != _PARTS[kind]:
        raise ValueError(f"{key}: {clean(arn, 120) or 'nothing'}: wanted: {_LIKE[kind]}")
    if kind != "targetgroup" and parts[0] != "app":
        raise ValueError(f"{key}: {clean(arn, 120)}: of no Application Load Balancer ({parts[0]})")
    name = parts[0] if kind == "targetgroup" else parts[1]
    return Place(arn, kind, found["region"], found["account"], name)
