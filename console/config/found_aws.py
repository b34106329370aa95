"""What a new config can say of AWS: the environments of MWAA that the credentials which are there may see."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from backends.aws.access import AwsAccess
from backends.errors import BackendError
from backends.pipelines.airflow.mwaa import environments_of

TIMEOUT_S = 5.0
_SAYS_SO = (
    "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)  # fmt: skip
_FILES = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}


class FoundAws(Struct, frozen=True):
    """`environments` of MWAA in `region`; `why_not` says why nobody knows of any."""

    region: str = ""
    environments: tuple[str, ...] = ()
    why_not: str = ""

    def entries(self) -> str:
        """As entries of a config, commented out; empty where there are none."""
        if not self.environments:
            return ""
        lines = [f"# ---- found with the AWS credentials that were there, in {self.region}", ""]
        for name in self.environments:
            lines += [
                "# [[contexts.production.pipelines]]",
                f'# name = "{name}"',
                '# type = "airflow"',
                f'# mwaa = "{name}"',
                f'# aws = {{ region = "{self.region}" }}',
                "",
            ]
        return "\n" + "\n".join(lines)


def has_credentials(env: Mapping[str, str], home: Path) -> bool:
    """Whether somebody has set up AWS here. The role of a host is not asked for: where it has none that takes long."""
    files = (Path(env.get(name) or home / ".aws" / file) for name, file in _FILES.items())
    return any(env.get(name) for name in _SAYS_SO) or any(path.is_file() for path in files)


async def find_aws(base_dir: Path, *, timeout_s: float | None) -> FoundAws:
    """Ask once, where somebody has set up AWS here. Raises nothing."""
    if not has_credentials(os.environ, Path.home()):
        return FoundAws()
    within_s = min(TIMEOUT_S, timeout_s or TIMEOUT_S)
    access = AwsAccess(endpoint_url=os.environ.get("AWS_ENDPOINT_URL", ""))
    try:
        async with asyncio.timeout(within_s):
            region, names = await environments_of(access, base_dir, timeout_s=within_s)
    except TimeoutError:
        return FoundAws(why_not=f"no answer of AWS in {within_s:g} s")
    except BackendError as error:
        return FoundAws(why_not=error.message)
    return FoundAws(region, tuple(names))


def said(found: FoundAws) -> Sequence[str]:
    """What there is to be said of it."""
    if found.why_not:
        return [f"environments of MWAA are not known: {found.why_not}"]
    count = len(found.environments)
    if not count:
        return []
    words = f"{count} environment{'s' * (count != 1)} of MWAA in {found.region}: {', '.join(found.environments)}"
    return [f"{words}; they stand at the end of the file, commented out"]
