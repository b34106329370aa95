"""Credentials of AWS profiles, got without ever asking at the terminal: the console is on it, and nobody may be there.

Where a role wants an MFA code, the session that the AWS command line keeps for it is used. Imported with botocore only.
"""

import os
import shlex
import subprocess
from functools import partial
from typing import Any

from botocore.credentials import (  # type: ignore[import-untyped]
    AssumeRoleProvider,
    CanonicalNameCredentialSourcer,
    EnvProvider,
    JSONFileCache,
    ProcessProvider,
    ProfileProviderBuilder,
)

from backends.errors import BackendError
from backends.text import clean

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
