"""The newest artifact that a workflow of GitHub has left: https://docs.github.com/en/rest/actions/artifacts.

Runs are listed without a filter (GitHub's filtered lists lag behind), newest first; the first one that has the artifact
has the newest. It is downloaded once, as a zip.
"""

import asyncio
from fnmatch import fnmatchcase
from urllib.parse import quote

from msgspec import Struct

from backends.checks.report.sources import MAX_BYTES, Read, Stored, inflated
from backends.credentials import Authentication
from backends.errors import BackendError
from backends.pipelines.github.api import PAGE, GitHubAccess, GitHubApi
from backends.pipelines.github.wire import Artifact, ArtifactList, Run, Runs
from backends.registry import AdapterContext
from backends.settings import Duration, Secret
from backends.stopwatch import timed
from backends.text import clean
from backends.times import parse_time

LOOKED_AT = 20  # runs


class GitHubArtifact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An artifact of a workflow of GitHub Actions.

    repo: `OWNER/NAME`.
    workflow: its file, as `nightly.yml`.
    artifact: what it is called there.
    token: reads Actions of the repository; GitHub gives no artifact without one.
    file: which file of the artifact, a glob; without, its only one.
    branch: only runs of this branch; without, of any, pull requests from elsewhere among them.
    url: of the API: `https://HOST/api/v3` of GitHub Enterprise.
    """

    repo: str
    workflow: str
    artifact: str
    token: Secret | None = None
    file: str = ""
    branch: str = ""
    url: str = "https://api.github.com"

    def __post_init__(self) -> None:
        if not self.workflow.strip() or not self.artifact.strip():
            raise ValueError("workflow, artifact: not empty")
        GitHubAccess(repo=self.repo, url=self.url)


class Artifacts:
    """`Source` of one artifact of a workflow."""

    def __init__(self, config: GitHubArtifact, context: AdapterContext, timeout: Duration) -> None:
        auth = None if config.token is None else Authentication(token=config.token)
        access = GitHubAccess(repo=config.repo, url=config.url, auth=auth, timeout=timeout)
        self._config, self._api, self._timeout = config, GitHubApi(access, context), timeout
        self._where = clean(f"{config.repo} {config.workflow}", 200)
        self._kept: tuple[int, Stored] | None = None

    async def fetch(self, read: Read) -> Stored:
        """As `Source.fetch`; `not_found` for one that has expired."""
        try:
            async with timed(self._timeout):
                return await self._fetch(read)
        except TimeoutError:
            raise BackendError("timeout", f"{self._where}: no answer in {self._timeout}") from None

    async def aclose(self) -> None:
        """The HTTP client is shared."""

    async def _fetch(self, read: Read) -> Stored:
        run, artifact = await self._newest()
        name = clean(f"{artifact.name} of run {run.id}", 120)
        if artifact.expired:
            raise BackendError("not_found", f"{self._where}: {name} has expired")
        if self._kept is None or self._kept[0] != artifact.id:
            body = await self._api.archive(artifact.id)
            try:
                format_, report = await asyncio.to_thread(lambda: read(inflated(member(body, self._config.file))))
            except BackendError as error:
                raise BackendError(error.kind, f"{self._where}: {name}: {error.message}") from None
            self._kept = artifact.id, Stored(name, format_, report, parse_time(artifact.created_at))
        return self._kept[1]

    async def _newest(self) -> tuple[Run, Artifact]:
        wanted = self._config.artifact
        path = f"/actions/workflows/{quote(self._config.workflow, safe='')}/runs"
        runs = (await self._api.get(path, Runs, {"per_page": PAGE})).workflow_runs
        chosen = [run for run in runs if self._config.branch in ("", run.head_branch)]
        for run in chosen[:LOOKED_AT]:
            asked = {"name": wanted, "per_page": PAGE}
            found = await self._api.get(f"/actions/runs/{run.id}/artifacts", ArtifactList, asked)
            named = [each for each in found.artifacts if each.name == wanted]  # older servers know no `name`
            if named:  # an attempt each
                return run, max(named, key=lambda each: (each.created_at or "", each.id))
        looked = min(len(chosen), LOOKED_AT)
        raise BackendError("not_found", f"{self._where}: none of its newest {looked} runs has an artifact {wanted}")


def member(body: bytes, pattern: str) -> bytes:
    """The one file of a zip whose name matches, of any name without a pattern. Raises BackendError(malformed)."""
    import lzma
    import zipfile
    import zlib
    from io import BytesIO

    damage = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, RuntimeError)
    try:
        with zipfile.ZipFile(BytesIO(body)) as archive:
            files = [each for each in archive.infolist() if not each.is_dir()]
            chosen = [each for each in files if not pattern or fnmatchcase(each.filename, pattern)]
            if len(chosen) != 1:
                names = clean(", ".join(each.filename for each in files[:5]), 200)
                words = f"{len(chosen)} of its files could be it ({names}): name one by `file`"
                raise BackendError("malformed", words)
            with archive.open(chosen[0]) as file:
                content = file.read(MAX_BYTES + 1)
    except (*damage, ValueError) as error:
        raise BackendError("malformed", f"damaged zip: {clean(str(error), 200)}") from None
    if len(content) > MAX_BYTES:
        raise BackendError("malformed", f"more than {MAX_BYTES // 2**20} MB, inflated")
    return content
