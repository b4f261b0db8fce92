"""How every instrument file is opened, counted and reported."""

import csv
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Final

import httpx

from propdesk.core.errors import SchemaFault
from propdesk.intake.fields import parse_date
from propdesk.intake.instrument_file import RejectedRow, message_of

ROWS_MAX: Final = 2_000_000
"""Rows of one file; the broker's whole master has about 200,000."""
CELLS_MAX: Final = 200
"""Columns of one file; the detailed master has about 40."""
LINE_CHARS_MAX: Final = 100_000
"""One line of a file; real ones have up to 600."""
UNREADABLE: Final = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    csv.Error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What reading raises if a file is absent, cut, damaged or no text."""
_DOWNLOAD_BYTES_MAX: Final = 300_000_000
_DOWNLOAD_TIMEOUT_S: Final = 120.0
_BLOCK: Final = 1 << 20
_ROW_FORMATS: Final = ("%d-%b-%Y", "%d/%m/%Y", "%d-%m-%Y", "%d-%B-%Y")


@dataclass(slots=True)
class Tally:
    """What became of a file's rows while it is read; every row is counted once.

    ``taken`` counts rows that made an instrument or lots; ``skipped`` the others by reason; ``rejected``
    holds those among the skipped that are defects, whole.
    """

    read: int = 0
    taken: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: list[RejectedRow] = field(default_factory=list)

    def skip(self, reason: str) -> None:
        """Count a row that is none of ours."""
        self.skipped[reason] += 1

    def reject(self, row: "Row", reason: str, message: str) -> None:
        """Count and keep a row that is wrong."""
        self.skipped[message_of(reason)] += 1
        # No database keeps NUL in a text.
        content = {name: value.replace("\0", "\ufffd") for name, value in row.cells.items()}
        self.rejected.append(RejectedRow(row.number, reason, message.replace("\0", "\ufffd"), content))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its number from 1 and its cells without blanks around them, by column."""

    number: int
    cells: dict[str, str]


@contextmanager
def local_copy(source: str | Path) -> Iterator[Path]:
    """Give a local path of a file or http(s) address; a download is removed afterwards.

    Raises
    ------
    SchemaFault
        If the address cannot be downloaded or sends too much.
    """
    text = str(source)
    if not text.startswith(("http://", "https://")):
        yield Path(source)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        yield _download(text, Path(folder) / (text.rsplit("/", 1)[-1] or "download"))


def _download(address: str, path: Path) -> Path:
    size = 0
    try:
        with (
            httpx.stream("GET", address, timeout=_DOWNLOAD_TIMEOUT_S, follow_redirects=True) as response,
            path.open("wb") as out,
        ):
            response.raise_for_status()
            for block in response.iter_bytes():
                size += len(block)
                if size > _DOWNLOAD_BYTES_MAX:
                    raise SchemaFault(
                        f"{address} sends more than {_DOWNLOAD_BYTES_MAX:,} bytes: check the address."
                    )
                out.write(block)
    except httpx.HTTPError as error:
        raise SchemaFault(
            f"{address} cannot be downloaded ({error}): check the address and the network."
        ) from error
    return path


def sha256_of(path: Path) -> str:
    """Hash a file in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a CSV file as text: plain, gzip, or a zip archive that holds one file."""
    with path.open("rb") as raw:
        magic = raw.read(2)
    if magic == b"PK":
        with _only_member(path) as member, io.TextIOWrapper(member, "utf-8-sig", newline="") as text:
            yield text
    elif magic == b"\x1f\x8b":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as text:
            yield text
    else:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield text


@contextmanager
def _only_member(path: Path) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            names = [name for name in archive.namelist() if not name.endswith("/")]
            if len(names) != 1:
                raise SchemaFault(f"{path.name} holds {len(names)} files: unpack it and load them by name.")
            member = stack.enter_context(archive.open(names[0]))
        except RuntimeError as error:  # Encrypted, or a compression or version that zipfile does not know.
            raise SchemaFault(
                f"{path.name} cannot be unpacked here ({error}): unpack it and load the file in it."
            ) from error
        yield member


def header_of(reader: Iterator[list[str]], name: str) -> list[str]:
    """Read the header: column names without blanks around them.

    Raises
    ------
    SchemaFault
        If the file is empty, has too many columns or one column twice.
    """
    header = [cell.strip() for cell in next(reader, [])]
    while header and not header[-1]:
        header.pop()
    if not header:
        raise SchemaFault(f"{name} is empty: download it again.")
    if len(header) > CELLS_MAX:
        raise SchemaFault(f"{name} has {len(header)} columns, more than {CELLS_MAX}: check the file.")
    repeated = sorted(column for column, count in Counter(header).items() if count > 1)
    if repeated:
        raise SchemaFault(f"{name} has the column {repeated[0]!r} twice: check the file.")
    return header


def rows_of(reader: Iterable[list[str]], header: list[str], tally: Tally, name: str) -> Iterator[Row]:
    """Read the rows one by one; blank rows and footnotes are counted, ragged ones kept as rejected.

    Raises
    ------
    SchemaFault
        If the file has more than `ROWS_MAX` rows.
    """
    width = len(header)
    for cells in reader:
        tally.read += 1
        if tally.read > ROWS_MAX:
            raise SchemaFault(f"{name} has more than {ROWS_MAX:,} rows: check the file.")
        values = [cell.strip() for cell in cells]
        if not any(values):
            tally.skip("blank row")
        elif len([value for value in values if value]) == 1 and values[0].startswith("*"):
            tally.skip("footnote")
        elif len(values) < width or any(values[width:]):
            row = Row(tally.read, {str(place): value for place, value in enumerate(values)})
            tally.reject(row, "RAGGED", f"the row has {len(values)} cells, the header {width}")
        elif any("\0" in value for value in values):
            tally.reject(
                Row(tally.read, dict(zip(header, values, strict=False))), "BAD_TEXT", "a cell holds NUL"
            )
        else:
            yield Row(tally.read, dict(zip(header, values, strict=False)))


def day_of(text: str) -> date | None:
    """Read a day as exchanges and brokers write it: 2025-01-30, 30-Jan-2025, 30/01/2025, 30-01-2025 15:30."""
    head = text.replace("T", " ").split(" ", 1)[0]
    return parse_date(head) or parse_date(head.title(), _ROW_FORMATS)


def csv_reader(stream: IO[str]) -> Iterator[list[str]]:
    """Read CSV; one call, so that every layout shares the dialect and the longest line."""
    return csv.reader(_lines(stream))


def _lines(stream: IO[str]) -> Iterator[str]:
    """Read lines of bounded length: an archive of some kilobytes can hold one of gigabytes."""
    while line := stream.readline(LINE_CHARS_MAX):
        if len(line) == LINE_CHARS_MAX and line[-1] not in "\r\n":
            raise csv.Error(f"a line is longer than {LINE_CHARS_MAX:,} characters")
        yield line
