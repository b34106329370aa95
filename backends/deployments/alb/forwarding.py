"""The actions of a rule: what its `forward` gives to each color, and the same list with other weights.

The API replaces the whole list, and what it answers can not be sent back as it is. So: the secret of OIDC is never
answered, and is kept by `UseExistingClientSecret`; a `forward` of two groups has no bare `TargetGroupArn`; conditions
and transforms are not sent, and stay. A type of action that is not known here is refused: part of it may be unseen.
API: https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ModifyRule.html
"""

import copy
import hashlib
from typing import Any

import msgspec

from backends.deployments.switch_format import percent
from backends.deployments.unclear import Unclear as Unclear
from backends.text import clean

Action = dict[str, Any]
KNOWN = frozenset(
    {"forward", "redirect", "fixed-response", "authenticate-oidc", "authenticate-cognito", "jwt-validation"}
)


def unknown_type(actions: list[Action]) -> str:
    """The first type that is not known here; empty where all are."""
    return next((clean(str(a.get("Type")), 60) for a in actions if a.get("Type") not in KNOWN), "")


def shares_in(actions: list[Action], groups: dict[str, str]) -> dict[str, int]:
    """Percent by color. `groups`: the ARN of each color's target group. Raises Unclear."""
    forward = _forward(actions)
    if forward is None:
        kinds = ", ".join(clean(str(a.get("Type")), 60) for a in actions) or "nothing"
        raise Unclear(f"it has no forward action ({kinds})", "name a rule or listener that forwards to `target_groups`")
    weights = _weights(forward)
    strangers = [arn for arn in weights if arn not in groups.values()]
    if strangers:
        also = "" if len(weights) == 1 else "also "
        why = f"it {also}forwards to {_short(strangers[0])}, which is none of `target_groups`"
        raise Unclear(why, "correct `target_groups`, or take that group out of the rule")
    found = {color: weights.get(arn, 0) for color, arn in groups.items()}
    if not sum(found.values()):
        why = f"its weights are {'/'.join(str(weight) for weight in found.values())}: it sends nobody anywhere"
        raise Unclear(why, "give the color that shall have the traffic a weight, by `aws elbv2`")
    return percent(found)


def stickiness_s(actions: list[Action]) -> int:
    """For how many seconds a client stays with the group that it met, whatever the weights are; 0 where it does not."""
    config = (_forward(actions) or {}).get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {})
    return int(config.get("DurationSeconds") or 0) if config.get("Enabled") else 0


def rewritten(actions: list[Action], groups: dict[str, str], weights: dict[str, int]) -> list[Action]:
    """The list to send, with `weights` for both colors; all else means what it meant."""
    made = []
    for action in copy.deepcopy(actions):
        if action.get("Type") == "forward":
            action.pop("TargetGroupArn", None)
            config = action.setdefault("ForwardConfig", {})
            config["TargetGroups"] = [
                {"TargetGroupArn": arn, "Weight": weights.get(color, 0)} for color, arn in groups.items()
            ]
        if (oidc := action.get("AuthenticateOidcConfig")) is not None:
            oidc.pop("ClientSecret", None)
            oidc["UseExistingClientSecret"] = True
        made.append(action)
    return made


def digest_of(actions: list[Action]) -> str:
    """The same for lists that mean the same, sent or answered."""
    normal = [_normal(action) for action in sorted(actions, key=lambda action: action.get("Order") or 0)]
    return hashlib.sha256(msgspec.json.encode(normal, order="deterministic")).hexdigest()[:16]


def _normal(action: Action) -> Action:
    found = {key: value for key, value in action.items() if key not in ("Order", "TargetGroupArn", "ForwardConfig")}
    if action.get("Type") == "forward":
        found["groups"] = sorted(_weights(action).items())
        found["sticky"] = stickiness_s([action])
    if (oidc := action.get("AuthenticateOidcConfig")) is not None:
        hidden = ("ClientSecret", "UseExistingClientSecret")
        found["AuthenticateOidcConfig"] = {key: value for key, value in oidc.items() if key not in hidden}
    return found


def _forward(actions: list[Action]) -> Action | None:
    return next((action for action in actions if action.get("Type") == "forward"), None)


def _weights(forward: Action) -> dict[str, int]:
    """By ARN. A group without a weight has 1."""
    tuples = forward.get("ForwardConfig", {}).get("TargetGroups") or []
    if not tuples and forward.get("TargetGroupArn"):
        tuples = [{"TargetGroupArn": forward["TargetGroupArn"]}]
    return {str(each.get("TargetGroupArn")): int(each.get("Weight", 1)) for each in tuples}


def _short(arn: str) -> str:
    return clean(arn.rpartition(":")[2], 80)
