"""Credentials of AWS profiles, got without ever asking at the terminal: the console is on it, and nobody may be there.

Where a role wants an MFA code, the session that the AWS command line keeps for it is used. Imported with botocore only.
"""

import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    AssumeRoleProvider,
    CanonicalNameCredentialSourcer,
    CredentialProvider,
    DeferredRefreshableCredentials,
    EnvProvider,
    JSONFileCache,
    ProcessProvider,
    ProfileProviderBuilder,
)
from botocore.session import get_session

from backends.aws.service_models import share_models
from backends.errors import BackendError
from backends.text import clean

_NO_SOURCE_FIX = "a profile or keys under `aws`, or credentials where the AWS command line finds them"
# A `credential_process` is a command of somebody else, and may ask as well.
_AWAY_FROM_THE_TERMINAL = partial(subprocess.Popen, stdin=subprocess.DEVNULL, start_new_session=True)


def never_ask(core: Any) -> None:
    """Make a session of botocore get what it needs of its profile without a prompt, or raise BackendError(auth)."""
    profile = core.get_config_variable("profile") or "default"
    resolver = core.get_component("credential_provider")
    cache = JSONFileCache(os.path.expanduser("~/.aws/cli/cache"))
    roles = AssumeRoleProvider(
        load_config=lambda: core.full_config,
        client_creator=core.create_client,
        cache=cache,
        profile_name=profile,
        prompter=partial(_refuse, profile),
        credential_sourcer=CanonicalNameCredentialSourcer(
            [EnvProvider(), resolver.get_provider("container-role"), resolver.get_provider("iam-role")]
        ),
        profile_provider_builder=_QuietProfiles(core, cache),
    )
    resolver.insert_before(AssumeRoleProvider.METHOD, roles)
    resolver.insert_before(ProcessProvider.METHOD, _process(core, profile))


def take_role(core: Any, role_arn: str, external_id: str, made: Callable[..., Any]) -> Any:
    """A session of botocore whose credentials are those of the role, taken with those of `core` and again before they
    end. `made`: makes a client of a service, given what creates one. The role's sessions are named for the login, which
    is what CloudTrail shows. Raises BackendError(auth) where there is nothing to take it with."""
    source = core.get_credentials()
    if source is None:
        raise BackendError("auth", f"AWS: no credentials to take {clean(role_arn, 200)} with", fix=_NO_SOURCE_FIX)
    named = {"RoleSessionName": _session_name()} | ({"ExternalId": external_id} if external_id else {})
    fetcher = AssumeRoleCredentialFetcher(
        lambda service, **keys: made(core.create_client, service, 2, **keys),
        source, role_arn, extra_args=named, mfa_prompter=partial(_refuse, role_arn),
    )  # fmt: skip
    taken = DeferredRefreshableCredentials(method=AssumeRoleProvider.METHOD, refresh_using=fetcher.fetch_credentials)
    session = get_session()
    share_models(session)
    session.get_component("credential_provider").providers.insert(0, _Taken(taken))
    return session


class _Taken(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """Credentials that are there already."""

    METHOD = "tealdeck-role"

    def __init__(self, credentials: Any) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        """They."""
        return self._credentials


def _session_name() -> str:
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = str(os.getuid())
    return re.sub(r"[^\w+=,.@-]", "-", f"tealdeck-{login}", flags=re.ASCII)[:64]


def mfa_fix(profile: str) -> str:
    """What to do where a role of `profile` wants an MFA code."""
    command = f"aws sts get-caller-identity --profile {shlex.quote(clean(profile, 100))}"
    return f"run `{command}` first: its session is used here"


class _QuietProfiles:
    """What a role's `source_profile` may get its own credentials from."""

    def __init__(self, core: Any, cache: Any) -> None:
        self._core = core
        self._builder = ProfileProviderBuilder(core, cache=cache)

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        """As botocore's own."""
        found = self._builder.providers(profile_name, disable_env_vars)
        return [_process(self._core, profile_name) if isinstance(each, ProcessProvider) else each for each in found]


def _process(core: Any, profile: str) -> Any:
    return ProcessProvider(profile, lambda: core.full_config, popen=_AWAY_FROM_THE_TERMINAL)


def _refuse(profile: str, prompt: str) -> str:
    raise BackendError("auth", f"AWS: the profile {clean(profile, 100)} wants an MFA code", fix=mfa_fix(profile))
