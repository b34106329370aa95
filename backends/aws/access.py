"""Clients of AWS services and of what speaks their API (MinIO, Ceph): how they are reached, and what went wrong.

```toml
aws = { region = "eu-central-1", profile = "data-oncall" }
aws = { endpoint_url = "http://minio:9000", access_key_id = { env = "KEY_ID" }, secret_access_key = { env = "KEY" } }
```
Without any of it the credentials are those that the AWS command line would use here.
"""

from pathlib import Path
from typing import Any

from msgspec import Struct

from backends.credentials import refuse_bad_url
from backends.errors import BackendError, ErrorKind
from backends.http import connection_words
from backends.proxies import has_proxy, proxy_for
from backends.redaction import learn, quoted
from backends.settings import Secret, reveal

CONNECT_TIMEOUT_S = 3.0
_KIND_OF_CODE: dict[str, ErrorKind] = {
    "NoSuchBucket": "not_found", "NoSuchKey": "not_found", "404": "not_found", "ResourceNotFound": "not_found",
    "ResourceNotFoundException": "not_found",
    "AccessDenied": "auth", "403": "auth", "401": "auth", "ExpiredToken": "auth", "InvalidAccessKeyId": "auth",
    "SignatureDoesNotMatch": "auth", "InvalidToken": "auth", "AccessDeniedException": "auth",
    "UnrecognizedClientException": "auth", "InvalidClientTokenId": "auth", "ExpiredTokenException": "auth",
    "SlowDown": "rate_limited", "Throttling": "rate_limited", "ThrottlingException": "rate_limited",
    "TooManyRequestsException": "rate_limited", "RequestLimitExceeded": "rate_limited", "429": "rate_limited",
    "PreconditionFailed": "conflict", "PermanentRedirect": "config", "AuthorizationHeaderMalformed": "config",
    "IllegalLocationConstraintException": "config",
    # What the config asks for cannot be.
    "InvalidParameterValue": "config", "InvalidParameterCombination": "config", "MissingParameter": "config",
    "ValidationError": "config", "ValidationException": "config", "InvalidBucketName": "config",
}  # fmt: skip
_FIX: dict[ErrorKind, str] = {
    "auth": "check the AWS credentials of this process (profile, role, environment) and what they may do",
    "config": "correct what the config asks for, or region, profile and endpoint_url under `aws`",
}


class AwsAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a service is reached. What is empty, boto3 looks up: environment, profile, role of the machine.

    region: as `eu-central-1`.
    profile: a profile of the AWS configuration.
    endpoint_url: where something else speaks the API: MinIO, Ceph.
    access_key_id: with `secret_access_key`, instead of what boto3 finds.
    secret_access_key: of that key.
    session_token: where the key is a temporary one.
    """

    region: str = ""
    profile: str = ""
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

    async def keys(self, base_dir: Path | None = None) -> dict[str, str]:
        """The keys as `client` takes them. Raises SecretError."""
        if self.access_key_id is None or self.secret_access_key is None:
            return {}
        found = {
            "aws_access_key_id": await reveal(self.access_key_id, base_dir),
            "aws_secret_access_key": await reveal(self.secret_access_key, base_dir),
        }
        if self.session_token is not None:
            found["aws_session_token"] = await reveal(self.session_token, base_dir)
        return found


def aws_client(service: str, access: AwsAccess, keys: dict[str, str], *, timeout_s: float, attempts: int = 2) -> Any:
    """A client of boto3, which is imported here: 0.3 s, so call this in a thread. `attempts` in all: 1 for writes.

    Raises BackendError(config).
    """
    import boto3  # type: ignore[import-untyped]
    import botocore.config  # type: ignore[import-untyped]
    import botocore.exceptions  # type: ignore[import-untyped]
    import botocore.session  # type: ignore[import-untyped]

    from backends.aws.quiet import never_ask

    how = botocore.config.Config(
        connect_timeout=min(CONNECT_TIMEOUT_S, timeout_s),
        read_timeout=timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        user_agent_extra="tealdeck",
        # Checksums that only AWS itself always knows break what speaks its API.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        core = botocore.session.get_session()
        session = boto3.session.Session(
            profile_name=access.profile or None, region_name=access.region or None, botocore_session=core, **keys
        )
        if not keys:
            never_ask(core)
        client = session.client(service, endpoint_url=access.endpoint_url or None, config=how)
        if has_proxy():  # botocore reads them by rules of its own: no ranges, no ports
            proxy = proxy_for(client.meta.endpoint_url)
            if proxy is not None and proxy.startswith("socks"):
                words = f"{service}: botocore knows no SOCKS proxy"
                raise BackendError("config", words, fix="an HTTP proxy in HTTPS_PROXY, or its host in NO_PROXY")
            how = how.merge(botocore.config.Config(proxies=dict.fromkeys(("http", "https"), proxy) if proxy else {}))
            client = session.client(service, endpoint_url=access.endpoint_url or None, config=how)
        client.meta.events.register("before-send", _learn_token)
        return client
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise aws_error(error, service) from None


def _learn_token(request: Any, **_: Any) -> None:
    """A session's token crosses the wire as it is; who echoes the request echoes it."""
    token = request.headers.get("X-Amz-Security-Token")
    learn(token.decode() if isinstance(token, bytes) else token)


def aws_error(error: Exception, where: str) -> BackendError:
    """What boto3 raised, as the one error: no keys in it, the service's own words where it said some."""
    import botocore.exceptions as boto

    if isinstance(error, boto.ClientError):
        said = error.response.get("Error", {})
        code = str(said.get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        kind = _KIND_OF_CODE.get(code) or _KIND_OF_CODE.get(str(status))
        if kind is None:
            kind = "unreachable" if isinstance(status, int) and status >= 500 else "malformed"
        words = ": ".join(filter(None, (code, str(said.get("Message") or ""))))
        return _failed(kind, where, words or f"HTTP {status}", status)
    if isinstance(error, boto.RefreshWithMFAUnsupportedError):
        words = "the session of an MFA code has ended"
        return BackendError("auth", f"{where}: {words}", fix="run an `aws sts` command with this profile first")
    if isinstance(error, boto.SSOError | boto.SSOTokenLoadError | boto.UnauthorizedSSOTokenError):
        return BackendError("auth", f"{where}: {quoted(str(error))}", fix="run `aws sso login` with this profile first")
    if isinstance(
        error,
        boto.NoCredentialsError
        | boto.PartialCredentialsError
        | boto.TokenRetrievalError
        | boto.CredentialRetrievalError,
    ):
        return _failed("auth", where, str(error))
    if isinstance(error, boto.ProfileNotFound | boto.NoRegionError | boto.InvalidRegionError | ValueError):
        return _failed("config", where, str(error))
    if isinstance(error, boto.ReadTimeoutError | boto.ConnectTimeoutError):
        return _failed("timeout", where, "no answer in time")
    if isinstance(
        error, boto.HTTPClientError | boto.ConnectionError
    ):  # the answer broke off, TLS, a proxy, no such host
        return _failed("unreachable", where, connection_words(error))
    if isinstance(error, boto.BotoCoreError):  # an answer that is none of the service
        return _failed("malformed", where, str(error))
    return _failed("internal", where, type(error).__name__)


def _failed(kind: ErrorKind, where: str, words: str, status: int | None = None) -> BackendError:
    return BackendError(kind, f"{where}: {quoted(words)}", fix=_FIX.get(kind, ""), status=status)
