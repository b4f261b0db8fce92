"""Bytes of a file, unpacked within limits."""

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from adapters.uploads.limits import LINE_BYTES_MAX, UploadFault, UploadLimits

_BLOCK = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 31  # zlib's code for "gzip header and checksum"
_RATIO_FROM_BYTES = 1 << 20
"""Below this the ratio says nothing: a hundred equal lines are no bomb."""
_OTHER_KINDS = (
    (b"PK\x03\x04", "a ZIP or Excel file: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file: save the sheet as CSV"),
    (b"%PDF", "a PDF: export the table as CSV"),
    (b"BZh", "packed with bzip2: unpack it or use gzip"),
    (b"\xfd7zXZ", "packed with xz: unpack it or use gzip"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd: unpack it or use gzip"),
    (b"\xff\xfe", "UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text: save it as UTF-8"),
)


class BoundedReader(io.RawIOBase):
    """Read a plain or gzip stream; ends with a fault when a limit is passed.

    Parameters
    ----------
    raw : BinaryIO
        The file, at its start.
    limits : UploadLimits
        ``bytes_max`` holds for what comes out, ``gzip_ratio_max`` for out over in.
    """

    def __init__(self, raw: BinaryIO, limits: UploadLimits) -> None:
        super().__init__()
        self._raw = raw
        self._limits = limits
        head = raw.read(2)
        raw.seek(0)
        self.is_gzip = head == _GZIP_MAGIC
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW) if self.is_gzip else None
        self._pending = b""
        self._in = 0
        self._out = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]  # narrower is all we serve
        """Fill ``buffer``; 0 at the end."""
        size = min(len(buffer), _BLOCK)
        block = self._unpack(size) if self.is_gzip else self._raw.read(size)
        self._out += len(block)
        if self._out > self._limits.bytes_max:
            raise UploadFault(f"it holds more than {self._limits.bytes_max:,} bytes once unpacked: split it")
        if (
            self.is_gzip
            and self._out > _RATIO_FROM_BYTES
            and self._out > (self._in - len(self._pending)) * self._limits.gzip_ratio_max
        ):
            raise UploadFault(
                f"it unpacks to more than {self._limits.gzip_ratio_max} times its size, as a decompression "
                "bomb does: send it unpacked if it is genuine"
            )
        buffer[: len(block)] = block
        return len(block)

    def _unpack(self, size: int) -> bytes:
        while True:
            unpacker = self._unpacker
            if unpacker is None:
                return b""
            if unpacker.eof:
                self._next_member(unpacker.unused_data)
                continue
            if not self._pending:
                self._pending = self._raw.read(_BLOCK)
                self._in += len(self._pending)
                if not self._pending:
                    raise UploadFault("the gzip file is cut off: copy it again, completely")
            try:
                block = unpacker.decompress(self._pending, size)
            except zlib.error as error:
                raise UploadFault("the gzip file is damaged: pack it again") from error
            self._pending = unpacker.unconsumed_tail
            if block:
                return block

    def _next_member(self, unused: bytes) -> None:
        """Go on with a further gzip member; blanks after the last are allowed by the format."""
        rest = unused or self._raw.read(_BLOCK)
        self._in += 0 if unused else len(rest)
        if not rest.strip(b"\0"):
            self._unpacker = None
            return
        if rest[:1] != _GZIP_MAGIC[:1]:
            raise UploadFault("the gzip file carries other bytes at its end: pack it again")
        self._unpacker = zlib.decompressobj(_GZIP_WINDOW)
        self._pending = rest


def open_bounded(path: Path, limits: UploadLimits) -> io.BufferedReader:
    """Open a file for reading within limits.

    Raises
    ------
    UploadFault
        If it cannot be opened.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise UploadFault(f"it cannot be opened ({error.strerror}): check the path and its rights") from error
    return io.BufferedReader(BoundedReader(raw, limits), _BLOCK)


def check_text(head: bytes) -> None:
    """Refuse what is plainly no text.

    Parameters
    ----------
    head : bytes
        The first bytes of the unpacked file.

    Raises
    ------
    UploadFault
        If the file is empty, of another known kind, or binary.
    """
    if not head.strip():
        raise UploadFault("it is empty: export it again")
    for magic, what in _OTHER_KINDS:
        if head.startswith(magic):
            raise UploadFault(f"it is {what}")
    if head.startswith(_GZIP_MAGIC):
        raise UploadFault("it is packed with gzip twice: unpack it once")
    odd = sum(byte < 9 or 13 < byte < 32 for byte in head)
    if odd * 20 > len(head):
        raise UploadFault("it is a binary file: send CSV, JSON, JSON lines or Parquet")


class Lines(Protocol):
    """What lines can be read from."""

    def readline(self, limit: int, /) -> bytes:
        """Give the next line, at most so many bytes of it; empty at the end."""
        ...


class TextLines:
    """Decode line by line, so that one Windows line in a UTF-8 file spoils nothing.

    Iterating gives the lines with their ends, the byte order mark left out, and raises an `UploadFault` where
    a line is longer than allowed or neither UTF-8 nor Windows-1252.

    Parameters
    ----------
    stream : Lines
        At its start.
    """

    def __init__(self, stream: Lines) -> None:
        self._stream = stream
        self._number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def pass_over(self, count: int) -> None:
        """Count lines that were taken from the stream without this object."""
        self._number += count

    def __next__(self) -> str:
        raw = self._stream.readline(LINE_BYTES_MAX + 1)
        if not raw:
            raise StopIteration
        self._number += 1
        number = self._number
        if len(raw) > LINE_BYTES_MAX:
            raise UploadFault(f"line {number} is longer than {LINE_BYTES_MAX:,} bytes: is it a table at all?")
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            try:
                return raw.decode("cp1252")
            except UnicodeDecodeError as error:
                raise UploadFault(
                    f"line {number} is neither UTF-8 nor Windows-1252 text: save the file as UTF-8"
                ) from error
