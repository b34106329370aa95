"""Compressed log files, and those in UTF-16: told by what they begin with, else by their name, and given out in
bounded pieces, in UTF-8.

Sources: the magic numbers of file(1); Python's gzip, bz2, lzma, and compression.zstd (3.14).
"""

import codecs
import errno
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from backends.logs.binary import UTF_16, binary_words, refusal

_BLOCK = 1024 * 1024
_MAGIC = {
    b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma", b"\x28\xb5\x2f\xfd": "compression.zstd",
    b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip", b"7z\xbc\xaf\x27\x1c": "7z", b"\x1f\x9d": "compress",
}  # fmt: skip
_NAMES = {"lzma": "xz"}
SUFFIXES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".zst": "compression.zstd", ".lz4": "lz4"}


def compression_of(file: BinaryIO, path: Path) -> str | None:
    """With what a file is compressed, by how it begins, else by its name; None for a plain or an empty one."""
    begins = os.pread(file.fileno(), 8, 0)
    if begins.startswith(UTF_16):
        return "utf-16"
    found = next((name for magic, name in _MAGIC.items() if begins.startswith(magic)), None)
    return found or (SUFFIXES.get(path.suffix) if begins else None)


def _reader(file: BinaryIO, compression: str) -> Any:
    if compression == "utf-16":
        return codecs.getreader("utf-16")(file, "replace")
    return import_module(compression).open(file, "rb")


def inflated(
    file: BinaryIO, compression: str, path: Path, *, most: int, stopped: Callable[[], bool]
) -> Iterator[bytes]:
    """What a compressed file holds, in bounded pieces. Raises OSError where it is broken, holds more than `most` bytes,
    or is of a kind that is not read here."""
    total, name = 0, compression.rpartition(".")[2]
    try:
        with _reader(file, compression) as reader:
            while not stopped() and (block := reader.read(_BLOCK)):
                if isinstance(block, str):
                    block = block.encode("utf-8", "replace")
                if total == 0 and (what := binary_words(block[:4096])):
                    raise refusal(what, path)
                total += len(block)
                if total > most:
                    break
                yield block
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            raise
        raise OSError(errno.EIO, f"broken {_NAMES.get(name, name)} file: {error}", str(path)) from None
    except ImportError:
        how = "Python 3.14 reads it" if name == "zstd" else "only gzip, bz2, xz and zstd are"
        raise OSError(errno.EOPNOTSUPP, f"compressed with {name}, not read ({how})", str(path)) from None
    except Exception as error:
        raise OSError(errno.EIO, f"broken {_NAMES.get(name, name)} file: {error}", str(path)) from None
    if total > most:
        raise OSError(errno.EFBIG, f"more than {most / 2**30:.2g} GB once inflated", str(path))
