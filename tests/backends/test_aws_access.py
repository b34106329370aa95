"""As whom AWS is reached, and what is said where that is nobody, somebody else, or somebody without the right."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import botocore.exceptions
import msgspec
import pytest

from backends.aws.access import AwsAccess, AwsSession
from backends.aws.account import Account, account_of
from backends.aws.errors import aws_error
from backends.aws.lifetime import ends_before
from backends.errors import BackendError
from backends.settings import decode_hook
from tests.backends.faulty_server import FaultyServer, Received
from tests.live.moto import KEYS, REGION, MotoServer, moto

ROLE = "arn:aws:iam::123456789012:role/oncall"
OTHER_ROLE = "arn:aws:iam::111122223333:role/oncall"


@pytest.fixture(autouse=True)
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The keys of moto, and a config of the command line in a home of its own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "config"
    path.write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    with moto(tmp_path_factory.mktemp("moto")) as found:
        yield found


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyServer]:
    async with FaultyServer() as found:
        yield found


def account(url: str, **access: Any) -> Account:
    # Its time covers the import of botocore, which takes seconds beside other work.
    return Account(AwsAccess(**{"region": REGION, "endpoint_url": url} | access), Path(), timeout_s=30)


def refusal(code: str, status: int) -> tuple[int, str]:
    return status, f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"


async def error_of(call: Any) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await call
    assert "\n" not in caught.value.message + caught.value.fix
    return caught.value


# ---- what the config may say


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        ({"account": "1234"}, "12 digits"),
        ({"role_arn": "oncall"}, "arn:aws:iam::123456789012:role/NAME"),
        ({"external_id": "x"}, "belongs to a role_arn"),
        ({"role_arn": ROLE, "account": "111122223333"}, "account says 111122223333"),
    ],
)
def test_what_can_not_be_is_refused_in_the_config(aws: dict[str, str], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(aws, AwsAccess, dec_hook=decode_hook)


# ---- who calls


async def test_the_caller_is_known_and_may_be_of_the_account(server: MotoServer) -> None:
    found = await account(server.endpoint_url, account="123456789012").caller()
    assert (found.account, found.arn.startswith("arn:aws:")) == ("123456789012", True)


async def test_another_account_is_refused_before_anything_is_read(faulty: FaultyServer) -> None:
    def answer(request: Received) -> tuple[int, Any]:
        arn = "<Arn>arn:aws:iam::111122223333:user/me</Arn><Account>111122223333</Account>"
        return (
            200,
            f"<GetCallerIdentityResponse><GetCallerIdentityResult>{arn}</GetCallerIdentityResult></GetCallerIdentityResponse>",
        )

    faulty.answer = answer
    found = account(faulty.url, account="123456789012")
    for _ in range(2):
        error = await error_of(found.read("elbv2", "describe_rules"))
        assert error.kind == "auth"
        assert "111122223333" in error.message
        assert "123456789012" in error.message
        assert "123456789012" in error.fix
    assert {b"GetCallerIdentity" in request.body for request in faulty.requests} == {True}


@pytest.mark.parametrize(
    "page", ["<html>proxy login</html>", "<GetCallerIdentityResponse/>", "", "{}", "<a>" * 3000], ids=range(5)
)
@pytest.mark.parametrize(
    "access", [{}, {"account": "123456789012"}, {"role_arn": ROLE}], ids=["plain", "account", "role"]
)
async def test_a_page_of_a_proxy_is_no_answer_and_no_defect(
    faulty: FaultyServer, page: str, access: dict[str, str]
) -> None:
    faulty.answer = lambda _: (200, page)
    found = account(faulty.url, **access)
    for call in (found.caller, lambda: found.read("elbv2", "describe_rules")):
        error = await error_of(call())
        assert error.kind in ("malformed", "unreachable"), error.message


async def test_a_role_is_taken_without_asking_and_its_sessions_are_named(server: MotoServer) -> None:
    found = await account(server.endpoint_url, role_arn=OTHER_ROLE, external_id="teal", account="111122223333").caller()
    assert found.arn.startswith("arn:aws:sts::111122223333:assumed-role/oncall/tealdeck-")


async def test_the_external_id_is_sent(faulty: FaultyServer) -> None:
    faulty.answer = lambda _: refusal("AccessDenied", 403)
    error = await error_of(account(faulty.url, role_arn=ROLE, external_id="teal-42").read("elbv2", "describe_rules"))
    assert (error.kind, "sts:AssumeRole" in error.message, "sts:AssumeRole" in error.fix) == ("auth", True, True)
    assert b"ExternalId=teal-42" in faulty.requests[0].body


async def test_no_credentials_to_take_a_role_with(server: MotoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    error = await error_of(account(server.endpoint_url, role_arn=ROLE).caller())
    assert (error.kind, "no credentials" in error.message) == ("auth", True)


SSO = """
[profile sso]
region = eu-central-1
sso_session = corp
sso_account_id = 123456789012
sso_role_name = oncall
[sso-session corp]
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
"""
OLD_SSO = """
[profile sso]
region = eu-central-1
sso_region = eu-central-1
sso_start_url = https://corp.awsapps.com/start
sso_account_id = 123456789012
sso_role_name = oncall
"""


@pytest.mark.parametrize("profile", [SSO, OLD_SSO])
async def test_an_sso_session_that_has_ended_names_the_login(
    profile: str, aws: Path, server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    aws.write_text(profile)
    error = await error_of(account(server.endpoint_url, profile="sso").read("elbv2", "describe_rules"))
    assert error.kind == "auth"
    assert "aws sso login --profile sso" in error.fix


# ---- how long they last


@pytest.mark.parametrize(("minutes", "level"), [(20, "block"), (120, None)])
async def test_credentials_that_end_first_and_nobody_renews_forbid_a_way_forward(
    minutes: int, level: str | None, server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=minutes)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    found = await account(server.endpoint_url).lifetime(3600)
    assert [finding.level for finding in found] == ([level] if level else [])
    assert all(finding.overridable and finding.fix for finding in found)


class Core:
    """As much of a session of botocore as `ends_before` asks."""

    def __init__(self, method: str, ends_in_s: float, **config: str) -> None:
        self.method, self._ends_in_s, self._config = method, ends_in_s, config

    def get_credentials(self) -> "Core":
        return self

    def get_frozen_credentials(self) -> None:
        """They are there."""

    def refresh_needed(self, refresh_in: int) -> bool:
        return self._ends_in_s < refresh_in

    def get_scoped_config(self) -> dict[str, str]:
        return self._config


def test_the_session_of_an_mfa_code_is_renewed_by_nobody() -> None:
    assert ends_before(Core("assume-role", 600), "p", 3600) is None
    assert ends_before(Core("assume-role", 7200, mfa_serial="arn"), "p", 3600) is None
    found = ends_before(Core("assume-role", 600, mfa_serial="arn"), "p", 3600)
    assert found is not None
    assert "MFA" in found.what


@pytest.mark.parametrize(
    ("minutes", "more", "ends"), [(20, {}, True), (120, {}, False), (20, {"refreshToken": "r"}, False)]
)
def test_the_keys_of_a_login_last_as_long_as_it_does(
    minutes: int, more: dict[str, str], ends: bool, tmp_path: Path
) -> None:
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    until = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {"startUrl": "https://corp", "accessToken": "t", "expiresAt": until, **more}
    (cache / f"{hashlib.sha1(b'corp').hexdigest()}.json").write_text(json.dumps(kept))
    core = Core("sso", 600, sso_session="corp", sso_start_url="https://corp")
    found = ends_before(core, "data", 3600)
    assert (found is not None) is ends
    assert found is None or "aws sso login --profile data" in found.fix
    assert ends_before(Core("sso", 600, sso_session="other"), "data", 3600) is None


async def test_keys_and_roles_last(server: MotoServer) -> None:
    assert await account(server.endpoint_url).lifetime(3600) == []
    assert await account(server.endpoint_url, role_arn=ROLE).lifetime(7 * 3600) == []


# ---- calls


async def test_a_call_that_botocore_lacks_names_its_version(server: MotoServer) -> None:
    import botocore

    error = await error_of(account(server.endpoint_url).read("elbv2", "weigh_rule"))
    assert (error.kind, botocore.__version__ in error.message, "boto3" in error.fix) == ("config", True, True)
    error = await error_of(account(server.endpoint_url).read("elbv2", "describe_rules", Color="blue"))
    assert (error.kind, botocore.__version__ in error.message) == ("config", True)


async def test_a_missing_right_is_named_where_aws_does_not(faulty: FaultyServer) -> None:
    faulty.answer = lambda _: refusal("AccessDenied", 403)
    error = await error_of(account(faulty.url).write("elbv2", "modify_rule", RuleArn="r", Actions=[]))
    assert (error.kind, error.status) == ("auth", 403)
    assert "elasticloadbalancing:ModifyRule" in error.message
    assert "elasticloadbalancing:ModifyRule" in error.fix


async def test_a_write_without_an_answer_is_sent_once(faulty: FaultyServer) -> None:
    faulty.answer = lambda _: refusal("InternalFailure", 500)
    error = await error_of(account(faulty.url).write("elbv2", "modify_rule", RuleArn="r", Actions=[]))
    assert (error.kind, error.status, len(faulty.requests)) == ("unreachable", 500, 1)


async def test_a_read_is_tried_again(faulty: FaultyServer) -> None:
    answers = iter([(500, ""), (200, "<R><DescribeRulesResult/></R>")])
    faulty.answer = lambda _: next(answers)
    assert "Rules" not in await account(faulty.url).read("elbv2", "describe_rules")
    assert len(faulty.requests) == 2


async def test_a_write_that_was_refused_for_too_many_calls_goes_again(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.aws.account.SEND_AGAIN_S", 0.01)
    answers = iter([refusal("Throttling", 400), (200, "<R><ModifyRuleResult/></R>")])
    faulty.answer = lambda _: next(answers)
    await account(faulty.url).write("elbv2", "modify_rule", RuleArn="r", Actions=[])
    assert len(faulty.requests) == 2
    faulty.answer = lambda _: refusal("Throttling", 400)
    error = await error_of(account(faulty.url).write("elbv2", "modify_rule", RuleArn="r", Actions=[]))
    assert (error.kind, len(faulty.requests)) == ("rate_limited", 5)


async def test_a_write_that_is_refused_is_answered(faulty: FaultyServer) -> None:
    faulty.answer = lambda _: refusal("TooManyTargets", 400)
    error = await error_of(account(faulty.url).write("elbv2", "modify_rule", RuleArn="r", Actions=[]))
    assert (error.kind, error.answered) == ("failed", True)


async def test_no_answer_ends_in_time(faulty: FaultyServer) -> None:
    faulty.fault = "hang"
    slow = Account(AwsAccess(region=REGION, endpoint_url=faulty.url), Path(), timeout_s=1)
    began = time.monotonic()
    assert (await error_of(slow.write("elbv2", "modify_rule", RuleArn="r", Actions=[]))).kind == "timeout"
    assert time.monotonic() - began < 8
    assert len(faulty.requests) == 1


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("RuleNotFound", 400, "not_found"),
        ("TargetGroupNotFoundException", 400, "not_found"),
        ("DeploymentGroupDoesNotExistException", 400, "not_found"),
        ("ExpiredTokenException", 400, "auth"),
        ("RequestExpired", 400, "auth"),
        ("Throttling", 400, "rate_limited"),
        ("InternalFailure", 500, "unreachable"),
        ("Whatever", 400, "malformed"),
    ],
)
def test_codes_of_aws_are_kinds_of_ours(code: str, status: int, kind: str) -> None:
    response = {"Error": {"Code": code, "Message": "x"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = botocore.exceptions.ClientError(response, "DescribeRules")
    found = aws_error(error, "AWS", service="elbv2")
    assert (found.kind, found.status, code in found.message) == (kind, status, True)


def test_whoever_is_given_the_same_access_shares_one(tmp_path: Path) -> None:
    access = AwsAccess(region=REGION)
    one = account_of(access, tmp_path, timeout_s=10)
    assert account_of(AwsAccess(region=REGION), tmp_path, timeout_s=10) is one
    assert account_of(AwsAccess(region="us-west-2"), tmp_path, timeout_s=10) is not one


async def test_one_client_for_each_service_and_one_look_at_who_calls(
    server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    client = AwsSession.client

    def counted(self: AwsSession, service: str, *, attempts: int) -> Any:
        made.append(service)
        return client(self, service, attempts=attempts)

    monkeypatch.setattr(AwsSession, "client", counted)
    found = account(server.endpoint_url, account="123456789012")
    await asyncio.gather(*(found.read("elbv2", "describe_load_balancers") for _ in range(5)))
    await found.caller()
    assert sorted(made) == ["elbv2", "sts"]
