"""What stands before the first request to a cluster: the kubeconfig read, an identity, TLS ready."""

import base64
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks.timing import Measurement, compare, run_seconds

OURS = """
import asyncio, sys
from pathlib import Path
import backends.http
import httpx
from backends.kubernetes.kubeconfig import load_access
from backends.kubernetes.identity import identify, tls_context

access = load_access(sys.argv[1], "", Path())
tls_context(access, asyncio.run(identify(access)))
"""
LIBRARY = """
import sys
from kubernetes import client, config

settings = client.Configuration()
config.load_kube_config(sys.argv[1], client_configuration=settings)
client.ApiClient(settings)
"""


def measure(env: dict[str, str], directory: Path) -> Measurement:
    """Ours, with the HTTP client as adapters import it, against the client library of the same kubeconfig."""
    kubeconfig = directory / "kubeconfig"
    key, certificate = directory / "ca.key", directory / "ca.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=bench"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    authority = base64.b64encode(certificate.read_bytes()).decode()
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority-data": authority}
    config = {
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": cluster}],
        "users": [{"name": "bench", "user": {"token": "bench"}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(config))
    return compare(
        "kubeconfig, identity and TLS : kubernetes",
        lambda: run_seconds([sys.executable, "-c", OURS, str(kubeconfig)], env),
        lambda: run_seconds([sys.executable, "-c", LIBRARY, str(kubeconfig)], env),
        0.7,
    )
