"""Files in S3, or in what speaks its API: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html.

Listed whole (`ListObjectsV2` has them by key, not by time) and read with `If-None-Match`, so that an unchanged object
costs a request without a body.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends.artifacts.storage import Artifact, Closed, Content, refuse_large
from backends.aws.access import AwsAccess, aws_client
from backends.aws.errors import aws_error, no_answer_of, strange_answers
from backends.errors import BackendError
from backends.text import clean


class Bucket:
    """Everything under one prefix of a bucket."""

    def __init__(self, location: str, access: AwsAccess, base_dir: Path, *, timeout_s: float) -> None:
        self._bucket, _, prefix = location.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.where = clean(f"s3://{self._bucket}/{self._prefix}", 200)
        self._access = access
        self._base_dir = base_dir
        self._timeout_s = timeout_s
        self._keys: dict[str, str] | None = None
        self._client: Any = None
        self._opening = threading.Lock()

    async def open(self) -> None:
        """Resolve the keys. Raises SecretError."""
        if self._keys is None:
            self._keys = await self._access.keys(self._base_dir)

    def walk(self) -> Iterator[Artifact | Closed]:
        """Raises BackendError."""
        with self._translated():
            pages = self._opened().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                for found in page.get("Contents", ()):
                    if not found["Key"].endswith("/"):  # what consoles make for an empty folder
                        name = found["Key"].removeprefix(self._prefix)
                        yield Artifact(name, found["Size"], found["LastModified"].timestamp(), found["ETag"])

    def read(self, name: str, *, unless: str, max_bytes: int) -> Content | None:
        """As `Storage.read`."""
        import botocore.exceptions as boto  # type: ignore[import-untyped]

        condition = {"IfNoneMatch": unless} if unless else {}
        with self._translated():
            try:
                found = self._opened().get_object(Bucket=self._bucket, Key=self._prefix + name, **condition)
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

    def _opened(self) -> Any:
        with self._opening:
            if self._client is None:
                self._client = aws_client("s3", self._access, self._keys or {}, timeout_s=self._timeout_s)
            return self._client

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import botocore.exceptions as boto

        try:
            yield
        except BackendError as error:
            if error.kind == "auth":
                with self._opening:
                    self._keys, self._client = None, None
            raise
        except (boto.BotoCoreError, boto.ClientError) as error:
            failed = aws_error(error, self.where, service="s3", profile=self._access.profile)
            if failed.kind == "auth":
                with self._opening:
                    self._keys, self._client = None, None  # a rotated key is resolved anew
            raise failed from None
        except strange_answers() as error:
            raise no_answer_of("S3", self.where, error) from None
