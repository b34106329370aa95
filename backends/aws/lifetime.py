"""How long credentials last, where nothing renews them without a person."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from backends.aws.errors import sso_login

_SSO_CACHE = os.path.join("~", ".aws", "sso", "cache")


class Ends(Struct, frozen=True):
    """They end too soon: which, in words, and what a person does about it."""

    what: str
    fix: str


def ends_before(core: Any, profile: str, needed_s: float) -> Ends | None:
    """Of a session of botocore, in a thread: whether its credentials end within `needed_s`, and it takes a person to
    have others. None for those that are renewed, that never end, or that do not say. Raises what botocore raises."""
    credentials = core.get_credentials()
    ends = getattr(credentials, "refresh_needed", None)
    if ends is None:
        return None
    credentials.get_frozen_credentials()  # those that are not there yet know no end
    own = core.get_scoped_config()
    if credentials.method in ("sso", "sso-token"):
        return _sso(own, profile, needed_s)
    if not ends(refresh_in=int(needed_s)):
        return None
    if credentials.method == "env":
        return Ends("the keys of the environment", "put new ones into it, and start again; or use a role_arn")
    if own.get("mfa_serial"):
        return Ends("the session of an MFA code", "run an `aws sts` command with this profile first")
    return None


def _sso(own: Mapping[str, Any], profile: str, needed_s: float) -> Ends | None:
    """The keys of a login are renewed for as long as the login lasts, and that by itself where it may be."""
    from botocore.exceptions import BotoCoreError
    from botocore.utils import JSONFileCache, SSOTokenLoader

    name = own.get("sso_session")
    try:
        token = SSOTokenLoader(cache=JSONFileCache(os.path.expanduser(_SSO_CACHE)))(own.get("sso_start_url", ""), name)
        until = datetime.fromisoformat(str(token["expiresAt"]).replace("Z", "+00:00"))
    except (BotoCoreError, KeyError, TypeError, ValueError):
        return None
    if token.get("refreshToken") or until > datetime.now(UTC) + timedelta(seconds=needed_s):
        return None
    return Ends("the SSO session", f"run `{sso_login(profile)}` first")
