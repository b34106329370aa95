"""Compressed bytes from outside: one coding, inflated in steps, so that a bomb is stopped by who counts."""

import zlib
from collections.abc import Iterator

STEP_BYTES = 256 * 1024
"""At most so much is inflated at once."""

_GZIP = 16 + zlib.MAX_WBITS


class DamagedError(Exception):
    """The bytes are no gzip, or end too early."""


class TooLargeError(DamagedError):
    """More comes out than is wanted."""


def inflated(packed: bytes, most: int) -> bytes:
    """A whole gzip stream. Raises DamagedError, TooLargeError for more than `most` bytes."""
    stream, whole = Gunzip(), bytearray()
    for piece in stream.feed(packed):
        whole += piece
        if len(whole) > most:
            raise TooLargeError(f"more than {most // 2**20} MB")
    return bytes(whole + stream.rest())


class Gunzip:
    """One gzip stream, which may have several members, fed with its bytes as they come."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What comes out, in pieces of at most `STEP_BYTES`; nothing is inflated that is not asked for. Raises
        DamagedError."""
        self._began = self._began or bool(data)
        try:
            while data:
                if self._member.eof:
                    data = data.lstrip(b"\0")  # padding is allowed behind a member
                    if not data:
                        return
                    self._member = zlib.decompressobj(_GZIP)
                piece = self._member.decompress(data, STEP_BYTES)
                data = self._member.unconsumed_tail or self._member.unused_data
                if piece:
                    yield piece
        except zlib.error as error:
            raise DamagedError(str(error)) from None

    def rest(self) -> bytes:
        """To be asked at the end: the last few bytes. Raises DamagedError where the stream has not ended."""
        if not self._began:
            return b""
        try:
            last = self._member.flush()
        except zlib.error as error:
            raise DamagedError(str(error)) from None
        if not self._member.eof:
            raise DamagedError("it ends too early")
        return last
