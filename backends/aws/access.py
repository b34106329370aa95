"""How AWS services, and what speaks their API (MinIO, Ceph), are reached: as whom, and whether that is the right one.

```toml
aws = { region = "eu-central-1", profile = "data-oncall", account = "123456789012" }
aws = { region = "eu-central-1", role_arn = "arn:aws:iam::123456789012:role/oncall", external_id = "teal" }
aws = { endpoint_url = "http://minio:9000", access_key_id = { env = "KEY_ID" }, secret_access_key = { env = "KEY" } }
```
Without any of it the credentials are those that the AWS command line would use here.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from backends.aws.errors import aws_error, no_answer_of, strange_answers
from backends.aws.lifetime import Ends, ends_before
from backends.aws.witness import Look, show_to_witnesses, witness_here
from backends.credentials import refuse_bad_url
from backends.errors import BackendError
from backends.imports import import_in_turn
from backends.proxies import has_proxy, proxy_for
from backends.redaction import learn
from backends.settings import Secret, reveal
from backends.text import clean

CONNECT_TIMEOUT_S = 3.0
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_ROLE = re.compile(r"arn:aws[\w-]*:iam::([0-9]{12}):role/[\w+=,.@/-]+", re.ASCII)


class AwsAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service is reached. What is empty, boto3 looks up: environment, profile, role of the machine.

    region: as `eu-central-1`.
    profile: a profile of the AWS configuration.
    role_arn: a role that is taken with what the profile, the keys or the environment give.
    external_id: what the role's trust policy wants to hear.
    account: the account that this must be, 12 digits: the caller of another one is refused before anything is read.
    endpoint_url: where something else speaks the API: MinIO, Ceph.
    access_key_id: with `secret_access_key`, instead of what boto3 finds.
    secret_access_key: of that key.
    session_token: where the key is a temporary one.
    """

    region: str = ""
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    account: str = ""
    endpoint_url: str = ""
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    session_token: Secret | None = None

    def __post_init__(self) -> None:
        if self.endpoint_url:
            refuse_bad_url("aws.endpoint_url", self.endpoint_url)
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("aws: access_key_id and secret_access_key belong together")
        if self.access_key_id is not None and self.profile:
            raise ValueError("aws: a profile, or keys, not both")
        if self.account and not _ACCOUNT.fullmatch(self.account):
            raise ValueError("aws: account: 12 digits, in quotes")
        role = _ROLE.fullmatch(self.role_arn)
        if self.role_arn and role is None:
            raise ValueError("aws: role_arn: wanted: arn:aws:iam::123456789012:role/NAME")
        if self.external_id and role is None:
            raise ValueError("aws: external_id belongs to a role_arn")
        if role and self.account and role[1] != self.account:
            raise ValueError(f"aws: role_arn is of account {role[1]}, and account says {self.account}")

    def command(self, service: str) -> list[str]:
        """How a line of the AWS command line begins that is reached alike."""
        given = (("--region", self.region), ("--profile", self.profile))
        return ["aws", service, *(word for option, value in given if value for word in (option, value))]

    async def keys(self, base_dir: Path | None = None) -> dict[str, str]:
        """The keys as `aws_session` takes them. Raises SecretError."""
        if self.access_key_id is None or self.secret_access_key is None:
            return {}
        found = {
            "aws_access_key_id": await reveal(self.access_key_id, base_dir),
            "aws_secret_access_key": await reveal(self.secret_access_key, base_dir),
        }
        if self.session_token is not None:
            found["aws_session_token"] = await reveal(self.session_token, base_dir)
        return found


class Caller(Struct, frozen=True):
    """Who AWS says we are: the `arn` of a user or an assumed role, and its account."""

    account: str
    arn: str


class AwsSession:
    """A session of boto3, and the clients made from it. To be used in a thread: it blocks.

    Raises BackendError: `config`, and `auth` where the caller is of another account than the config says.
    """

    def __init__(self, access: AwsAccess, keys: dict[str, str], *, timeout_s: float) -> None:
        import_in_turn("boto3.session")  # 0.3 s
        import boto3.session
        import botocore.exceptions
        import botocore.session

        from backends.aws.quiet import never_ask, take_role
        from backends.aws.service_models import share_models

        self._access = access
        self._timeout_s = timeout_s
        self._caller: Caller | None = None
        self._keys_given = bool(keys)
        core = botocore.session.get_session()
        share_models(core)
        try:
            self._session = boto3.session.Session(
                profile_name=access.profile or None, region_name=access.region or None, botocore_session=core, **keys
            )
            if not keys:
                never_ask(core)
            self._source = core
            if access.role_arn:
                core = take_role(core, access.role_arn, access.external_id, self._made)
                self._session = boto3.session.Session(
                    region_name=access.region or self._session.region_name, botocore_session=core
                )
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise aws_error(error, "AWS", profile=access.profile) from None
        if access.account:
            self._must_be(access.account)

    @property
    def region(self) -> str:
        """The one that calls go to; empty where none is known."""
        return str(self._session.region_name or "")

    def ends_before(self, needed_s: float) -> Ends | None:
        """What ends within that time and wants a person to be had again: of what a role is taken with, where one is.
        Raises BackendError(auth)."""
        import botocore.exceptions

        if self._keys_given:
            return None
        try:
            return ends_before(self._source, self._access.profile, needed_s)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise aws_error(error, "AWS", service="sts", profile=self._access.profile) from None

    def caller(self) -> Caller:
        """Asked once; where that is witnessed, once for all that reach AWS alike. Raises BackendError."""
        if self._caller is None:
            witness = witness_here()
            if witness is None:
                self._caller = self._asked_caller()
            else:
                witness.meet(self)
                self._caller = witness.callers.of(self.reached_as, self._asked_caller)
        return self._caller

    def _asked_caller(self) -> Caller:
        import botocore.exceptions

        try:
            found = self.client("sts", attempts=2).get_caller_identity()
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
            raise aws_error(error, "AWS", service="sts", profile=self._access.profile) from None
        except strange_answers() as error:
            raise no_answer_of("sts", "AWS", error) from None
        return Caller(clean(str(found.get("Account", "")), 20), clean(str(found.get("Arn", "")), 300))

    @property
    def reached_as(self) -> AwsAccess:
        """What its caller depends on: of two that are equal the same one calls."""
        return structs.replace(self._access, region="", account="")

    def look(self, look: Look) -> None:
        """Read once for whoever witnesses it: what comes of it is nobody's fault. Nothing is read of an account that is
        not the one of the config. Raises nothing."""
        import botocore.exceptions

        wanted = self._access.account
        if wanted and (self._caller is None or self._caller.account != wanted):
            return
        with suppress(BackendError, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, AttributeError):
            getattr(self.client(look.service, attempts=1), look.operation)(**look.request)

    def client(self, service: str, *, attempts: int) -> Any:
        """A new client; `attempts` in all: 1 for writes. Raises BackendError(config)."""
        import botocore.exceptions

        try:
            client = self._made(self._session.client, service, attempts)
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise aws_error(error, service, profile=self._access.profile) from None
        return client

    def _made(self, make: Any, service: str, attempts: int, **keys: Any) -> Any:
        import botocore.config

        how = botocore.config.Config(
            connect_timeout=min(CONNECT_TIMEOUT_S, self._timeout_s),
            read_timeout=self._timeout_s,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra="tealdeck",
            inject_host_prefix=not self._access.endpoint_url,  # what speaks the API has one name
            # Checksums that only AWS itself always knows break what speaks its API.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        endpoint = self._access.endpoint_url or None
        region = {"region_name": self._access.region} if self._access.region else {}
        client = make(service, endpoint_url=endpoint, config=how, **region, **keys)
        if has_proxy():  # botocore reads them by rules of its own: no ranges, no ports
            proxy = proxy_for(client.meta.endpoint_url)
            if proxy is not None and proxy.startswith("socks"):
                words = f"{service}: botocore knows no SOCKS proxy"
                raise BackendError("config", words, fix="an HTTP proxy in HTTPS_PROXY, or its host in NO_PROXY")
            how = how.merge(botocore.config.Config(proxies=dict.fromkeys(("http", "https"), proxy) if proxy else {}))
            client = make(service, endpoint_url=endpoint, config=how, **region, **keys)
        client.meta.events.register("before-send", _learn_token)
        show_to_witnesses(client, self)
        return client

    def _must_be(self, account: str) -> None:
        caller = self.caller()
        if caller.account != account:
            words = f"AWS: {caller.arn} is of account {caller.account}, and `account` says {account}: nothing was read"
            raise BackendError("auth", words, fix=f"a profile or role_arn of account {account} under `aws`")


def _learn_token(request: Any, **_: Any) -> None:
    """A session's token crosses the wire as it is; who echoes the request echoes it."""
    token = request.headers.get("X-Amz-Security-Token")
    learn(token.decode() if isinstance(token, bytes) else token)
