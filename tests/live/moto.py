"""moto's server: AWS as far as it goes, on loopback, in a process of its own.

```python
@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server
```
"""

import contextlib
import functools
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.live.process import accepts, free_port, started

REGION = "eu-central-1"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "correct-horse", "AWS_DEFAULT_REGION": REGION}


def client_of(service: str, endpoint_url: str, **config: Any) -> Any:
    """A client of boto3, as a plain script makes one."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        **config,
    )


@functools.cache
def _kept(service: str, endpoint_url: str) -> Any:
    return client_of(service, endpoint_url)


class MotoServer(Struct, frozen=True):
    """Where it is: `endpoint_url` for every service."""

    endpoint_url: str

    def client(self, service: str) -> Any:
        """A client of the test's own, to put things there; made once, which costs more than most calls."""
        return _kept(service, self.endpoint_url)

    def reset(self) -> None:
        """Everything gone, in every service."""
        request = urllib.request.Request(f"{self.endpoint_url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=30).close()


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[MotoServer]:
    """A new server that runs, its log in `directory`, gone at the end of the block."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with started(command, directory / "log", lambda: accepts(port)):
        yield MotoServer(f"http://127.0.0.1:{port}")
