"""`alb` without AWS: what a config may say, action lists as they are sent again, and marks in tags."""

import re
from typing import Any

import botocore.session
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.aws.access import Caller
from backends.deployments.alb.config import AlbConfig
from backends.deployments.alb.forwarding import Unclear, digest_of, rewritten, shares_in, stickiness_s, unknown_type
from backends.deployments.alb.marks import BEFORE, MARK, Mark, announced, read_marks
from backends.deployments.alb.owners import owners
from backends.deployments.alb.places import place_of
from backends.deployments.alb.preflight import identity
from backends.deployments.alb.rules import combine, rule_of
from backends.errors import BackendError
from backends.ports import SwitchState
from backends.settings import decode_hook

REGION, ACCOUNT = "eu-central-1", "123456789012"


def arn(kind: str, path: str, *, region: str = REGION, account: str = ACCOUNT) -> str:
    return f"arn:aws:elasticloadbalancing:{region}:{account}:{kind}/{path}"


RULE = arn("listener-rule", "app/model/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee")
LISTENER = arn("listener", "app/model/50dc6c495c0c9188/f2f7dc8efc522ab2")
GROUPS = {
    "blue": arn("targetgroup", "model-blue/73e2d6bc24d8a067"),
    "green": arn("targetgroup", "model-green/22ca1f6e"),
}
WHOLE: dict[str, Any] = {"rules": [RULE], "target_groups": GROUPS}


def config(**more: Any) -> AlbConfig:
    return msgspec.convert({**WHOLE, **more}, AlbConfig, dec_hook=decode_hook)


def forward(*weights: int, sticky: int = 0) -> dict[str, Any]:
    tuples = [{"TargetGroupArn": group, "Weight": w} for group, w in zip(GROUPS.values(), weights, strict=True)]
    stay = {"Enabled": True, "DurationSeconds": sticky} if sticky else {"Enabled": False}
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples, "TargetGroupStickinessConfig": stay}}


# ---- the config


def test_region_and_account_are_those_of_the_arns() -> None:
    place = config().places[0]
    assert (place.region, place.account, place.name, place.listener) == (REGION, ACCOUNT, "model", LISTENER)
    assert config().colors == ("blue", "green")
    assert config().group_places["blue"].dimension == "targetgroup/model-blue/73e2d6bc24d8a067"
    assert place.dimension == "app/model/50dc6c495c0c9188"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"rules": []}, "rules or listeners: at least one"),
        ({"rules": ["model"]}, "wanted: arn:aws:elasticloadbalancing:REGION:ACCOUNT:listener-rule/app/NAME/ID/ID/ID"),
        ({"rules": [LISTENER]}, "listener-rule/app/NAME"),
        ({"listeners": [RULE]}, "listener/app/NAME"),
        ({"rules": [RULE, RULE]}, "named twice"),
        ({"rules": [RULE.replace("/app/", "/net/")]}, "of no Application Load Balancer"),
        ({"target_groups": {"blue": GROUPS["blue"], "green": GROUPS["blue"]}}, "named twice"),
        ({"target_groups": {"blue": GROUPS["blue"]}}, "two, one for each color"),
        ({"target_groups": {**GROUPS, "red": arn("targetgroup", "model-red/1")}}, "two, one for each color"),
        ({"aws": {"region": "us-east-1"}}, f"of region {REGION}, and the rest is of us-east-1"),
        (
            {"listeners": [LISTENER.replace(REGION, "us-east-1")]},
            "of region us-east-1, and the rest is of eu-central-1",
        ),
        ({"aws": {"account": "111122223333"}}, f"of account {ACCOUNT}, and the rest is of 111122223333"),
        ({"target_groups": {**GROUPS, "blue": GROUPS["blue"].replace(ACCOUNT, "111122223333")}}, "of account 1111"),
        ({"min_healthy": 0}, "min_healthy: at least 1"),
        ({"health": {"red": "http://x/health"}}, "not the same colors"),
    ],
)
def test_what_can_not_be_is_refused_in_the_config(more: dict[str, Any], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=re.escape(said)) as caught:
        config(**more)
    assert "\n" not in str(caught.value)


def test_the_caller_of_another_account_is_refused() -> None:
    with pytest.raises(BackendError) as caught:
        identity(Caller("111122223333", "arn:aws:iam::111122223333:user/me"), ACCOUNT, REGION)
    assert (caught.value.kind, ACCOUNT in caught.value.fix) == ("auth", True)
    text = identity(Caller(ACCOUNT, "arn:aws:iam::123456789012:user/me"), ACCOUNT, REGION).text
    assert text == f"as arn:aws:iam::123456789012:user/me in account {ACCOUNT}, {REGION}"


# ---- actions


def test_shares_of_every_form_of_a_forward() -> None:
    assert shares_in([forward(1, 0)], GROUPS) == {"blue": 100, "green": 0}
    assert shares_in([forward(900, 100)], GROUPS) == {"blue": 90, "green": 10}
    assert shares_in([forward(999, 1)], GROUPS) == {"blue": 99, "green": 1}
    assert shares_in([{"Type": "forward", "TargetGroupArn": GROUPS["green"]}], GROUPS) == {"blue": 0, "green": 100}
    weightless = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": GROUPS["blue"]}]}}
    assert shares_in([weightless], GROUPS) == {"blue": 100, "green": 0}


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ([], "no forward action (nothing)"),
        ([{"Type": "redirect"}], "no forward action (redirect)"),
        ([forward(0, 0)], "its weights are 0/0"),
        ([{"Type": "forward", "TargetGroupArn": arn("targetgroup", "other/1")}], "it forwards to targetgroup/other/1"),
        (
            [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
                *forward(1, 0)["ForwardConfig"]["TargetGroups"],
                {"TargetGroupArn": arn("targetgroup", "other/1"), "Weight": 0},
            ]}}],
            "it also forwards to targetgroup/other/1",
        ),
    ],
)  # fmt: skip
def test_what_gives_no_shares_says_why_and_what_to_do(actions: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(Unclear, match=re.escape(why)) as caught:
        shares_in(actions, GROUPS)
    assert caught.value.fix
    rule = rule_of(place_of("rules", RULE, "listener-rule"), {"RuleArn": RULE, "Actions": actions}, GROUPS)
    state = combine([rule], ("blue", "green"))
    assert state.weights == {}
    assert state.detail.splitlines() == [f"{rule.place.words}: {caught.value}", caught.value.fix]


OIDC = {
    "Type": "authenticate-oidc", "Order": 1,
    "AuthenticateOidcConfig": {
        "Issuer": "https://id.example.com", "AuthorizationEndpoint": "https://id.example.com/a",
        "TokenEndpoint": "https://id.example.com/t", "UserInfoEndpoint": "https://id.example.com/u",
        "ClientId": "teal", "SessionTimeout": 3600, "OnUnauthenticatedRequest": "authenticate",
    },
}  # fmt: skip


def test_the_whole_list_goes_again_with_nothing_but_weights_changed() -> None:
    bare = {**forward(1, 0, sticky=600), "Order": 2, "TargetGroupArn": GROUPS["blue"]}
    sent = rewritten([OIDC, bare], GROUPS, {"blue": 25, "green": 75})
    assert sent[0]["AuthenticateOidcConfig"] == {**OIDC["AuthenticateOidcConfig"], "UseExistingClientSecret": True}
    assert sent[1] == {**forward(25, 75, sticky=600), "Order": 2}
    assert "UseExistingClientSecret" not in OIDC["AuthenticateOidcConfig"]
    answered = [OIDC, {**forward(25, 75, sticky=600), "Order": 2}]
    assert digest_of(sent) == digest_of(answered) != digest_of([OIDC, bare])
    assert stickiness_s(sent) == 600


def test_a_secret_is_never_sent_again() -> None:
    echoed = {**OIDC, "AuthenticateOidcConfig": {**OIDC["AuthenticateOidcConfig"], "ClientSecret": "s"}}
    (action, _) = rewritten([echoed, forward(1, 0)], GROUPS, {"blue": 100, "green": 0})
    assert "ClientSecret" not in action["AuthenticateOidcConfig"]


def test_a_type_that_is_not_known_is_named_and_those_of_botocore_are_known() -> None:
    assert unknown_type([{"Type": "teleport"}, forward(1, 0)]) == "teleport"
    model = botocore.session.get_session().get_service_model("elbv2")
    assert [kind for kind in model.shape_for("ActionTypeEnum").enum if unknown_type([{"Type": kind}])] == []
    place, odd = place_of("rules", RULE, "listener-rule"), [{"Type": "teleport"}, forward(1, 0)]
    rule = rule_of(place, {"Priority": "10", "Actions": odd}, GROUPS)
    assert "teleport" in rule.unwritable()
    default = rule_of(place, {"IsDefault": True, "Actions": [forward(1, 0)]}, GROUPS)
    assert "`listeners`" in default.unwritable()


# ---- marks

TAG = re.compile(r"[\w .:/=+\-@]{0,256}", re.ASCII)  # what AWS lets stand in the value of a tag


@given(
    st.builds(
        Mark,
        number=st.integers(0, 10**9 - 1), digest=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
        stamp=st.from_regex(r"[0-9A-Z]{26}:[a-z\[\]0-9 -]{1,20}", fullmatch=True), fence=st.integers(0, 10**18 - 1),
        journal=st.from_regex(r"[A-Za-z0-9_-]{0,40}", fullmatch=True), at=st.integers(0, 10**10), ended=st.booleans(),
    )
)  # fmt: skip
def test_a_mark_is_read_as_it_was_written_and_fits_into_a_tag(mark: Mark) -> None:
    assert TAG.fullmatch(mark.text())
    assert Mark.parse(mark.text()) == mark


def tags(latest: Mark, before: Mark | None, digest: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in announced(latest, before, digest)}


def test_the_actions_tell_which_of_two_marks_holds() -> None:
    old, new = "0" * 16, "1" * 16
    first = Mark(number=1, digest=new, stamp="A:shift")
    found = read_marks(tags(first, None, old))
    assert (found.of(old), found.of(new)) == (None, first)  # announced, then written
    second = Mark(number=2, digest=old, stamp="A:shift-back")
    found = read_marks(tags(second, first, new))
    assert (found.of(new), found.of(old)) == (first, second)
    by_hand = "2" * 16
    assert found.of(by_hand) == second
    third = Mark(number=3, digest=new, stamp="B:shift")
    found = read_marks(tags(third, second, by_hand))
    assert found.of(by_hand) is not None
    assert found.of(by_hand).stamp == "A:shift-back"
    assert found.of(new) == third


def test_what_is_no_mark_is_odd() -> None:
    assert read_marks({MARK: "", BEFORE: ""}).odd == ""
    assert read_marks({MARK: "of a newer program"}).odd == f"{MARK}=of a newer program"
    assert read_marks({MARK: "of a newer program"}).of("0" * 16) is None


def test_a_set_is_told_by_its_newest_mark_and_over_when_every_mark_is() -> None:
    places = [place_of("rules", RULE[:-1] + end, "listener-rule") for end in "123"]
    shares = [forward(0, 100)]
    old = Mark(number=4, digest=digest_of(shares), stamp="A:shift", journal="j1", fence=2, ended=True)
    new = Mark(number=5, digest=digest_of(shares), stamp="B:shift", journal="j2", fence=1)

    def state(*marks: Mark | None) -> SwitchState:
        own = [{MARK: mark.text()} if mark else {} for mark in marks]
        rules = [rule_of(place, {"Actions": shares, "Priority": "1"}, GROUPS, tags)
                 for place, tags in zip(places, own, strict=False)]  # fmt: skip
        return combine(rules, ("blue", "green"))

    found = state(old, new, None)
    assert (found.weights, found.stamp, found.fence, found.journal) == ({"blue": 0, "green": 100}, "B:shift", 1, "j2")
    assert (found.ended, state(old, None).ended, state(None).ended) == (False, True, False)


def test_the_digest_of_a_mark_tells_what_its_write_made_also_when_a_hand_has_moved_the_weights_since() -> None:
    place, sticky = place_of("rules", RULE, "listener-rule"), [OIDC, {**forward(1, 0, sticky=600), "Order": 2}]
    ours = rewritten(sticky, GROUPS, {"blue": 75, "green": 25})
    mark = Mark(number=2, digest=digest_of(ours), stamp="A:shift[25]", journal="j")
    tagged = {tag["Key"]: tag["Value"] for tag in announced(mark, None, digest_of(sticky))}

    def wrote(actions: list[dict[str, Any]]) -> dict[str, int]:
        return combine([rule_of(place, {"Actions": actions, "Priority": "1"}, GROUPS, tagged)], ("blue", "green")).wrote

    assert wrote(ours) == {"blue": 75, "green": 25}
    assert wrote(rewritten(sticky, GROUPS, {"blue": 40, "green": 60})) == {"blue": 75, "green": 25}
    assert wrote([forward(40, 60)]) == {}  # its stickiness was changed too: nobody can tell
    assert wrote(sticky) == {}  # as it was before: the write of the mark never came


# ---- who else


@pytest.mark.parametrize(
    ("name", "own", "code"),
    [
        ("model", {"elbv2.k8s.aws/cluster": "prod"}, "owner-ingress"),
        ("model", {"ingress.k8s.aws/stack": "ns/model"}, "owner-ingress"),
        ("k8s-ns-model-1f2e", {}, "owner-ingress"),
        ("model", {"CodeDeployApplication": "model"}, "owner-codedeploy"),
        ("codedeploy-model", {}, "owner-codedeploy"),
        ("model", {"AmazonECSManaged": "true"}, "owner-ecs"),
        ("model", {"aws:cloudformation:stack-name": "web"}, "owner-stack"),
        ("model", {"team": "data"}, ""),
    ],
)
def test_other_owners_are_known_by_tags_and_names(name: str, own: dict[str, str], code: str) -> None:
    place = place_of("rules", RULE.replace("app/model/", f"app/{name}/"), "listener-rule")
    found = owners([place], {place.arn: own})
    assert [finding.code for finding in found] == ([code] if code else [])
    assert all(finding.fix and finding.level == ("warning" if code == "owner-stack" else "block") for finding in found)
