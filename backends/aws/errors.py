"""What boto3 raised, as the one error: no keys in it, the service's own words where it said some, and the right that
is missing by the name that a policy calls it."""

import re
from typing import Any

from backends.errors import BackendError, ErrorKind
from backends.http import connection_words
from backends.redaction import quoted

_KIND_OF_CODE: dict[str, ErrorKind] = {
    "NoSuchBucket": "not_found", "NoSuchKey": "not_found", "404": "not_found", "ResourceNotFound": "not_found",
    "AccessDenied": "auth", "403": "auth", "401": "auth", "ExpiredToken": "auth", "InvalidAccessKeyId": "auth",
    "SignatureDoesNotMatch": "auth", "InvalidToken": "auth", "AccessDeniedException": "auth", "AuthFailure": "auth",
    "UnrecognizedClientException": "auth", "InvalidClientTokenId": "auth", "ExpiredTokenException": "auth",
    "RequestExpired": "auth", "InvalidSignatureException": "auth", "UnauthorizedOperation": "auth",
    "SlowDown": "rate_limited", "Throttling": "rate_limited", "ThrottlingException": "rate_limited",
    "ThrottledException": "rate_limited", "RequestThrottled": "rate_limited",
    "TooManyRequestsException": "rate_limited", "RequestLimitExceeded": "rate_limited", "429": "rate_limited",
    "PreconditionFailed": "conflict", "PermanentRedirect": "config", "AuthorizationHeaderMalformed": "config",
    "IllegalLocationConstraintException": "config",
    # What the config asks for cannot be.
    "InvalidParameterValue": "config", "InvalidParameterCombination": "config", "MissingParameter": "config",
    "InvalidParameterException": "config",
    "ValidationError": "config", "ValidationException": "config", "InvalidBucketName": "config",
}  # fmt: skip
_MISSING = re.compile(r"(NotFound|NotFoundException|DoesNotExist|DoesNotExistException|NonExistentQueue)$")
_FIX: dict[ErrorKind, str] = {
    "auth": "check the AWS credentials of this process (profile, role, environment) and what they may do",
    "config": "correct what the config asks for, or region, profile and endpoint_url under `aws`",
    "not_found": "check the name, and region and account under `aws`",
}
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_ENDED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_NAMED_RIGHT = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
# The names of services in policies, where they are not those of boto3.
_IN_POLICIES = {"elbv2": "elasticloadbalancing", "stepfunctions": "states", "mwaa": "airflow"}


_RIGHTS = {"s3:ListObjectsV2": "s3:ListBucket", "s3:HeadObject": "s3:GetObject"}


def right_of(service: str, operation: str) -> str:
    """What a policy calls it: `elasticloadbalancing:ModifyRule`."""
    right = f"{_IN_POLICIES.get(service, service)}:{operation}"
    return _RIGHTS.get(right, right)


def refused_right(response: dict[str, Any], service: str, operation: str) -> str:
    """The right that an answer of botocore says is missing; empty where it says nothing of the kind. `service` and
    `operation` (`ModifyRule`) were asked."""
    code, message, _, kind = _said(response)
    named = _NAMED_RIGHT.search(message)
    denied = code in _DENIED or (kind == "auth" and code not in _KIND_OF_CODE)
    if not denied or not (service or named):
        return ""
    return named[1] if named else right_of("sts" if operation == "AssumeRole" else service, operation)


def _said(response: dict[str, Any]) -> tuple[str, str, int | None, ErrorKind | None]:
    """Code, message and HTTP status of an error, and the kind that code or status are known to be."""
    said = response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message") or "")
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    kind = _KIND_OF_CODE.get(code) or ("not_found" if _MISSING.search(code) else None) or _KIND_OF_CODE.get(str(status))
    return code, message, status, kind


def strange_answers() -> tuple[type[Exception], ...]:
    """What botocore falls over where a proxy, or something else than AWS, answers: it makes a dict without its keys of
    it, finds no XML in it, or recurses into a million brackets."""
    from botocore.parsers import ResponseParserError

    return ResponseParserError, AttributeError, KeyError, TypeError, ValueError, RecursionError


def no_answer_of(service: str, where: str, error: Exception) -> BackendError:
    """One of `strange_answers`, as the one error."""
    words = f"{where}: an answer that is none of {service} ({type(error).__name__})"
    return BackendError("malformed", words, fix="check `aws.endpoint_url`, and what is between it and here")


def aws_error(error: Exception, where: str, *, service: str = "", profile: str = "") -> BackendError:
    """`service` as boto3 calls it, for the right that is missing where AWS does not name it; `profile` for `aws sso
    login`."""
    import botocore.exceptions as boto

    if isinstance(error, BackendError):
        return error
    if isinstance(error, boto.ClientError):
        return _of_an_answer(error, where, service)
    if isinstance(error, boto.RefreshWithMFAUnsupportedError):
        words = "the session of an MFA code has ended"
        return BackendError("auth", f"{where}: {words}", fix="run an `aws sts` command with this profile first")
    if isinstance(error, boto.SSOError | boto.SSOTokenLoadError | boto.UnauthorizedSSOTokenError):
        return BackendError("auth", f"{where}: {quoted(str(error))}", fix=f"run `{sso_login(profile)}` first")
    if isinstance(error, boto.TokenRetrievalError):
        return BackendError("auth", f"{where}: {quoted(str(error))}", fix=f"run `{sso_login(profile)}` first")
    if isinstance(
        error,
        boto.NoCredentialsError | boto.PartialCredentialsError | boto.CredentialRetrievalError,
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
    if isinstance(error, boto.ParamValidationError):
        return unknown_call(where, quoted(str(error)))
    if isinstance(error, boto.BotoCoreError):  # an answer that is none of the service
        return _failed("malformed", where, str(error))
    if isinstance(error, RuntimeError):  # of botocore: credentials that were read anew have ended as well
        return _failed("auth", where, str(error))
    return _failed("internal", where, type(error).__name__)


def unknown_call(where: str, what: str) -> BackendError:
    """That the installed botocore is older than what is asked of it."""
    import botocore

    words = f"{where}: botocore {botocore.__version__} does not know it: {what}"
    return BackendError("config", words, fix="install a newer boto3 and botocore beside tealdeck")


def has_ended(error: BackendError) -> bool:
    """Whether a call was refused, and so not taken, since the credentials that signed it have ended."""
    return error.kind == "auth" and error.status is not None and "ExpiredToken" in error.message


def _of_an_answer(error: "Exception", where: str, service: str) -> BackendError:
    response = getattr(error, "response", {})
    code, message, status, kind = _said(response)
    if kind is None:
        kind = "unreachable" if isinstance(status, int) and status >= 500 else "malformed"
    words = ": ".join(filter(None, (code, message))) or f"HTTP {status}"
    right = refused_right(response, service, str(getattr(error, "operation_name", "")))
    if right:
        fix = f"allow {right} to this role or user (docs/aws.md has the policy)"
        return BackendError("auth", f"{where}: no right {right}: {quoted(words)}", fix=fix, status=status)
    failed = _failed(kind, where, words, status)
    if code in _ENDED:
        fix = "the credentials have ended, or this host's clock is wrong: get new ones"
        return BackendError("auth", failed.message, fix=fix, status=status)
    return failed


def sso_login(profile: str) -> str:
    """The command that begins an SSO session."""
    from shlex import quote

    return f"aws sso login --profile {quote(profile)}" if profile else "aws sso login"


def _failed(kind: ErrorKind, where: str, words: str, status: int | None = None) -> BackendError:
    return BackendError(kind, f"{where}: {quoted(words)}", fix=_FIX.get(kind, ""), status=status)
