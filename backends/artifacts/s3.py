"""Files in S3, or in what speaks its API: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html.

Listed whole (`ListObjectsV2` has them by key, not by time) and read with `If-None-Match`, so that an unchanged object
costs a request without a body.
"""

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from backends.artifacts.storage import Artifact, Closed, Content, refuse_large
from backends.aws.access import AwsAccess
from backends.aws.account import account_of
from backends.text import clean

READS = 2


class Bucket:
    """Everything under one prefix of a bucket."""

    def __init__(self, location: str, access: AwsAccess, base_dir: Path, *, timeout_s: float) -> None:
        self._bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.where = clean(f"s3://{self._bucket}/{self._prefix}", 200)
        account = account_of(access, base_dir, timeout_s=timeout_s, reads=READS)
        self.open = account.resolve
        self._lent = partial(account.lent, "s3", where=self.where)

    def walk(self) -> Iterator[Artifact | Closed]:
        """Raises BackendError."""
        with self._lent() as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    if not found["Key"].endswith("/"):  # what consoles make for an empty folder
                        name = found["Key"].removeprefix(self._prefix)
                        yield Artifact(name, found["Size"], found["LastModified"].timestamp(), found["ETag"])

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """As `Storage.read`."""
        import botocore.exceptions as boto

        condition = {"IfNoneMatch": unless} if unless else {}
        with self._lent() as client:
            try:
                found = client.get_object(Bucket=self._bucket, Key=self._prefix + name, **condition)
            except boto.ClientError as error:
                code = error.response.get("Error", {}).get("Code")
                if code == "NoSuchKey":
                    return None
                if code in ("304", "NotModified"):
                    return Content(Artifact(name, 0, 0.0, unless), None)
                raise
            with contextlib.closing(found["Body"]) as body:
                artifact = Artifact(name, found["ContentLength"], found["LastModified"].timestamp(), found["ETag"])
                refuse_large(self.where, artifact, max_bytes)
                return Content(artifact, body.read())
