"""What botocore knows of the services is read once, and where the session says."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from backends.aws.access import AwsAccess, AwsSession
from tests.live.moto import KEYS, REGION


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of it that are read from now on."""
    files: list[str] = []
    load = JSONFileLoader.load_file

    def loaded(self: JSONFileLoader, path: str) -> Any:
        found = load(self, path)
        if found is not None:
            files.append(path)
        return found

    monkeypatch.setattr(JSONFileLoader, "load_file", loaded)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return files


def client_of(service: str, **access: str) -> Any:
    return AwsSession(AwsAccess(region=REGION, **access), {}, timeout_s=1).client(service, attempts=1)


def test_a_second_session_reads_none_of_it(read: list[str]) -> None:
    client_of("sqs")
    read.clear()
    assert client_of("sqs", endpoint_url="http://127.0.0.1:9").meta.service_model.service_name == "sqs"
    assert read == []
    assert client_of("sns").meta.service_model.service_name == "sns"


def test_another_place_is_looked_at_too(read: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client_of("sqs")
    place = tmp_path / "odd" / "2026-01-01"
    place.mkdir(parents=True)
    metadata = {"serviceId": "Odd", "endpointPrefix": "odd", "protocol": "json", "signatureVersion": "v4"}
    (place / "service-2.json").write_text(json.dumps({"metadata": metadata, "operations": {}, "shapes": {}}))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    assert client_of("odd", endpoint_url="http://127.0.0.1:9").meta.service_model.service_name == "odd"
