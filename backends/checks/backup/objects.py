"""Backups in S3, or in what speaks its API: every object that a prefix or a glob names.

API: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from backends.aws.access import AwsAccess
from backends.aws.account import Account, account_of
from backends.checks.amazon import READS
from backends.checks.backup.files import BackupFile
from backends.errors import BackendError
from backends.settings import Duration
from backends.stopwatch import timed
from backends.text import clean

SCHEME = "s3://"
MAX_PAGES = 100
_MAGIC = re.compile(r"[*?[]")
_ARCHIVES = ("GLACIER", "DEEP_ARCHIVE")  # not GLACIER_IR, which is read at once


class Objects:
    """Of buckets."""

    noun = "object"

    def __init__(self, patterns: tuple[str, ...], access: AwsAccess, base_dir: Path, *, timeout: Duration) -> None:
        self._patterns = patterns
        self._timeout = timeout
        self._account = account_of(access, base_dir, timeout_s=timeout, reads=READS)

    async def newest(self) -> tuple[list[BackupFile], list[BackendError]]:
        """The objects, newest last, and which places could not be listed. Raises BackendError."""
        files: set[BackupFile] = set()
        unread: list[BackendError] = []
        for pattern in self._patterns:
            where = clean(pattern, 200)
            try:
                async with timed(self._timeout):
                    files |= set(await _listed(self._account, pattern, where))
            except TimeoutError:
                unread.append(BackendError("timeout", f"{where}: no answer in {self._timeout}"))
            except BackendError as error:
                said = error.message.removeprefix(f"{where}: ")
                unread.append(BackendError(error.kind, f"{where}: {said}", fix=error.fix, status=error.status))
        return sorted(files), unread

    async def aclose(self) -> None:
        """The account is shared; nothing of its own is open."""


async def _listed(account: Account, pattern: str, where: str) -> list[BackupFile]:
    bucket, _, key = pattern.removeprefix(SCHEME).partition("/")
    magic = _MAGIC.search(key)
    prefix = key if magic is None else key[: magic.start()]
    files: list[BackupFile] = []
    more: dict[str, str] = {}
    for _ in range(MAX_PAGES):
        page = await account.read(
            "s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, OptionalObjectAttributes=["RestoreStatus"], **more
        )
        files += [
            _file(bucket, found)
            for found in page.get("Contents", ())
            if not found["Key"].endswith("/") and (magic is None or fnmatchcase(found["Key"], key))
        ]
        if not page.get("NextContinuationToken"):
            return files
        more = {"ContinuationToken": page["NextContinuationToken"]}
    raise BackendError("config", f"{where}: more than {MAX_PAGES},000 objects", fix="a longer prefix in `path`")


def _file(bucket: str, found: dict[str, Any]) -> BackupFile:
    restored = found.get("RestoreStatus", {}).get("RestoreExpiryDate") is not None
    archived = str(found.get("StorageClass", ""))
    archived = archived if archived in _ARCHIVES and not restored else ""
    return BackupFile(found["LastModified"].timestamp(), found["Size"], f"{bucket}/{found['Key']}", archived)
