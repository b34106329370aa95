"""Certificates of an authority of the test's own, made by the `openssl` program."""

import subprocess
from pathlib import Path

_EXTENSIONS = "subjectAltName=DNS:localhost,IP:127.0.0.1\n"


class Authority:
    """`bundle` is what a client must trust."""

    def __init__(self, directory: Path) -> None:
        self.bundle = directory / "ca.pem"
        self._key = directory / "ca.key"
        self._directory = directory
        _openssl(
            "req",
            "-x509",
            *_NEW_KEY,
            "-keyout",
            self._key,
            "-out",
            self.bundle,
            "-days",
            "3650",
            "-subj",
            "/CN=teal test",
        )

    def certificate(self, *, days: int) -> tuple[Path, Path]:
        """For localhost and 127.0.0.1, valid for `days` from now: the certificate and its key."""
        name = self._directory / f"server-{days}"
        request, key, certificate, extensions = (name.with_suffix(end) for end in (".csr", ".key", ".pem", ".ext"))
        extensions.write_text(_EXTENSIONS)
        _openssl("req", *_NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=localhost")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.bundle, "-CAkey", self._key, "-set_serial", str(days + 1000),
            "-days", str(days), "-extfile", extensions, "-out", certificate,
        )  # fmt: skip
        return certificate, key


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
