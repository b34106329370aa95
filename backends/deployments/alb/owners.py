"""Who else writes the rules: an Ingress controller, CodeDeploy, ECS, CloudFormation. What they own they write again,
and a weight of ours is gone with their next deployment."""

from collections.abc import Iterable

from backends.deployments.alb.places import Place
from backends.models import Finding
from backends.text import clean

_INGRESS_TAGS = ("elbv2.k8s.aws/", "ingress.k8s.aws/", "service.k8s.aws/", "gateway.k8s.aws/", "kubernetes.io/ingress")
_ECS_TAGS = ("AmazonECSManaged", "aws:ecs:")
_STACK = "aws:cloudformation:stack-name"


def owners(places: Iterable[Place], tags: dict[str, dict[str, str]]) -> list[Finding]:
    """One finding for each owner that tags and names tell of. `places`: rules, listeners and target groups."""
    found: dict[str, Finding] = {}
    for place in places:
        own = tags.get(place.arn, {})
        for finding in _of(place, own):
            found.setdefault(finding.code, finding)
    return list(found.values())


def _of(place: Place, tags: dict[str, str]) -> Iterable[Finding]:
    where = place.words
    ingress = next((key for key in tags if key.startswith(_INGRESS_TAGS)), "")
    if ingress or place.name.startswith("k8s-"):
        why = f"tag {clean(ingress, 60)}={clean(tags[ingress], 60)}" if ingress else f"name {clean(place.name, 60)}"
        text = f"{where} belongs to an Ingress controller ({why}): it writes the weights back when it looks next"
        yield _block("owner-ingress", text, "set the weights in its Ingress or route, with type kubernetes here")
    if any("codedeploy" in word.lower() for word in (place.name, *tags, *tags.values())):
        text = f"{where} belongs to CodeDeploy, by its tags or name: its next deployment writes other weights"
        yield _block("owner-codedeploy", text, 'type = "codedeploy" drives it')
    if ecs := next((key for key in tags if key.startswith(_ECS_TAGS)), ""):
        text = f"{where} belongs to ECS (tag {clean(ecs, 60)}): its next deployment writes other weights"
        yield _block("owner-ecs", text, 'type = "ecs-native" drives it')
    if stack := tags.get(_STACK):
        text = f"{where} is part of the CloudFormation stack {clean(stack, 80)}: its next update may put weights back"
        fix = "leave the weights out of the template, or say there what is live"
        yield Finding(level="warning", code="owner-stack", text=text, fix=fix)


def _block(code: str, text: str, fix: str) -> Finding:
    return Finding(level="block", code=code, text=text, fix=fix, overridable=True)
