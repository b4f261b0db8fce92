"""Rows of CSV, JSON and Parquet files as text under canonical names, streamed."""

import csv
import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from adapters.uploads.blocks import Block, LookedAhead, Row, split_plain
from adapters.uploads.limits import LINE_BYTES_MAX, UploadFault, UploadLimits
from adapters.uploads.streams import TextLines, check_text, open_bounded
from propdesk.core.errors import SchemaFault
from propdesk.intake import RejectReason, SourceProfile, document_to_row
from propdesk.intake.document import value_text
from propdesk.intake.reasons import Rejection

_PARQUET_MAGIC = b"PAR1"
_HEAD_BYTES = 1 << 13
_BATCH_ROWS = 8_192
_JSON_BLOCK_BYTES = 1 << 18
_BLANK = " \t\r\n"
_REPEATED = "\x00repeated"
"""Key under which a JSON object that names keys twice carries their names."""


class UploadFormat(StrEnum):
    """How a file is laid out."""

    CSV = "CSV"
    JSON = "JSON"
    JSON_LINES = "JSON_LINES"
    PARQUET = "PARQUET"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be taken apart; ``raw`` is what stood there.

    ``message_id``: which message it is, where it says so beyond doubt. ``source_key`` as in `Row`.
    """

    number: int
    reason: RejectReason
    message: str
    raw: str
    message_id: str | None = None
    source_key: str | None = None


class UploadReader:
    """Read one file row by row; never holds more than a batch.

    Parameters
    ----------
    path : Path
        The file.
    profile : SourceProfile
        Names its columns.
    limits : UploadLimits
        Bounds that end the reading with a fault.

    Raises
    ------
    UploadFault
        If it is empty, of no known kind, damaged, or over a limit; here or while iterating.
    """

    def __init__(self, path: Path, profile: SourceProfile, limits: UploadLimits) -> None:
        self._path = path
        self._profile = profile
        self._limits = limits
        self.format = _detect(path, limits, profile.records)

    def __iter__(self) -> Iterator[Row | BadRow]:
        for piece in self.pieces():
            if isinstance(piece, Block):
                yield from piece.rows()
            else:
                yield piece

    def pieces(self) -> Iterator[Row | BadRow | Block]:
        """Yield all rows in order: one by one, or as blocks where they could be read so."""
        read = {
            UploadFormat.CSV: self._csv,
            UploadFormat.JSON: self._json,
            UploadFormat.JSON_LINES: self._json_lines,
            UploadFormat.PARQUET: self._parquet,
        }[self.format]
        count = 0
        try:
            for piece in read():
                count += len(piece) if isinstance(piece, Block) else 1
                if count > self._limits.rows_max:
                    raise UploadFault(f"it has more than {self._limits.rows_max:,} rows: split it")
                yield piece
        except SchemaFault as fault:
            raise UploadFault(str(fault)) from fault
        if count == 0:
            raise UploadFault("it holds no rows: export it again, with at least one")

    # -------------------------------------------------------------------------------------------- CSV

    def _csv(self) -> Iterator[Row | BadRow | Block]:
        with open_bounded(self._path, self._limits) as stream:
            ahead = LookedAhead(stream)
            decoded = TextLines(ahead)
            lines = _Remembering(decoded)
            reader = csv.reader(lines, delimiter=self._profile.delimiter, strict=True)
            try:
                header = next(reader, [])
            except csv.Error as error:
                raise UploadFault(f"its first line is no list of column names ({error})") from error
            places = self._profile.map_header(header)
            number = 0
            may_split = bool(places) and self._profile.delimiter.isascii()
            is_new = may_split  # what is held has not been looked at as a whole
            while True:
                plain = ahead.plain_lines() if is_new else b""
                block = self._split(plain, len(header), places, number + 1) if plain else None
                if block is not None:
                    ahead.pass_over()
                    decoded.pass_over(plain.count(b"\n"))
                    number += len(block)
                    yield block
                    continue
                try:
                    row = _csv_row(next(reader), len(header), places, number + 1)
                except StopIteration:
                    return
                except csv.Error as error:
                    row = _csv_fault(number + 1, error, lines.last)
                is_new = may_split and not ahead.is_ahead
                if row is not None:
                    number += 1
                    yield row

    def _split(self, plain: bytes, count: int, places: dict[int, str], number: int) -> Block | None:
        return split_plain(plain, self._profile.delimiter, count, places, number)

    # ------------------------------------------------------------------------------------------- JSON

    def _json_lines(self) -> Iterator[Row | BadRow]:
        seen: set[str] = set()
        with open_bounded(self._path, self._limits) as stream:
            number = 0
            for line in TextLines(stream):
                if not line.strip():
                    continue
                number += 1
                try:
                    record = _load(line)
                except (ValueError, RecursionError):
                    sentence = "the line is no JSON object"
                    yield BadRow(number, RejectReason.MALFORMED_ROW, sentence, line)
                    continue
                yield self._document(number, record, seen)
        self._check_seen(seen, number)

    def _json(self) -> Iterator[Row | BadRow]:
        seen: set[str] = set()
        number = 0
        with open_bounded(self._path, self._limits) as stream:
            scanner = _ArrayScanner(stream)
            for record in scanner.items(self._profile.records):
                if self._is_skipped(record):
                    continue
                number += 1
                yield self._document(number, self._carried(record, scanner.around), seen)
        self._check_seen(seen, number)

    def _is_skipped(self, record: object) -> bool:
        skip = self._profile.skip
        return isinstance(record, Mapping) and any(
            str(record.get(key)) in values for key, values in skip.items()
        )

    def _carried(self, record: object, around: Mapping[str, Any]) -> object:
        """Give a record the fields that stand around the list, unless it has its own."""
        carry = self._profile.carry
        if not carry or not isinstance(record, Mapping):
            return record
        own = set(self._profile.map_header_leniently([str(key) for key in record]).values())
        lent = {name: around[key] for name, key in carry.items() if name not in own and key in around}
        return {**record, **lent}

    def _document(self, number: int, record: object, seen: set[str]) -> Row | BadRow:
        raw = json.dumps(record, ensure_ascii=True)
        if not isinstance(record, Mapping):
            return BadRow(number, RejectReason.MALFORMED_ROW, "the record is no JSON object", raw)
        if _REPEATED in record:
            sentence = f"the record names {record[_REPEATED][0]!r} twice: send it once"
            return BadRow(number, RejectReason.MALFORMED_ROW, sentence, raw, self._message_id(record))
        row = document_to_row(record, self._profile)
        if isinstance(row, Rejection):
            return BadRow(number, row.reasons[0], row.message, raw, self._message_id(record))
        seen.update(row)
        return Row(number, row)

    def _message_id(self, record: Mapping[str, Any]) -> str | None:
        """Tell which message a record is that cannot be taken; None where it does not say so exactly once."""
        titles = [str(key) for key in record]
        places = self._profile.map_header_leniently(titles)
        own = [titles[place] for place, name in places.items() if name == "source_message_id"]
        if len(own) != 1 or own[0] in record.get(_REPEATED, ()):
            return None
        return value_text(record[own[0]])

    def _check_seen(self, seen: set[str], count: int) -> None:
        missing = [name for name in self._profile.required if name not in seen]
        if count and missing:
            raise UploadFault(
                f"no record has a field {', '.join(missing)}: rename the fields or choose another source "
                f"profile than {self._profile.name}"
            )

    # ---------------------------------------------------------------------------------------- Parquet

    def _parquet(self) -> Iterator[Row | Block]:
        import pyarrow as pa  # 40 MB that the live side, which reads profiles beside this, does not need
        import pyarrow.parquet as pq

        with tempfile.TemporaryFile() as spool:
            try:
                file = pq.ParquetFile(self._parquet_source(spool))
                metadata = file.metadata
                expanded = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
                if metadata.num_rows > self._limits.rows_max or expanded > self._limits.bytes_max:
                    raise UploadFault(
                        f"it has {metadata.num_rows:,} rows and {expanded:,} bytes unpacked, at most "
                        f"{self._limits.rows_max:,} and {self._limits.bytes_max:,} are taken: split it"
                    )
                yield from self._parquet_rows(file)
            except (pa.ArrowException, OSError) as error:
                raise UploadFault(f"it is no readable Parquet file ({_first_line(error)})") from error

    def _parquet_source(self, spool: Any) -> Any:
        with open_bounded(self._path, self._limits) as stream:
            if stream.peek(4)[:4] == _PARQUET_MAGIC and _is_plain(self._path):
                return self._path
            try:
                while block := stream.read(_JSON_BLOCK_BYTES):
                    spool.write(block)
                spool.flush()
            except OSError as error:
                raise UploadFault(
                    f"there is no room to unpack it ({error.strerror}): free space in {tempfile.gettempdir()}"
                ) from error
        spool.seek(0)
        return spool

    def _parquet_rows(self, file: Any) -> Iterator[Row | Block]:
        import pyarrow as pa

        places = self._profile.map_header(file.schema_arrow.names)
        number = 0
        held = 0
        for batch in file.iter_batches(_BATCH_ROWS):
            held += batch.nbytes
            if held > self._limits.bytes_max:
                raise UploadFault(
                    f"it holds more than {self._limits.bytes_max:,} bytes once unpacked: split it"
                )
            numbers = range(number + 1, number + batch.num_rows + 1)
            number += batch.num_rows
            columns = {
                name: pa.array(_texts(batch.column(place)), pa.string()) for place, name in places.items()
            }
            if columns:
                yield Block(numbers, columns)
            else:
                yield from (Row(one, {}) for one in numbers)


class _Remembering:
    """Pass lines on and keep the last for a message."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.last = ""

    def __iter__(self) -> "_Remembering":
        return self

    def __next__(self) -> str:
        self.last = next(self._lines)
        return self.last


def _csv_row(values: list[str], count: int, places: dict[int, str], number: int) -> Row | BadRow | None:
    """Give the row that some fields are; None for an empty line."""
    if not values:
        return None
    if len(values) != count:
        sentence = f"the row has {len(values)} fields, the header {count}: check the quotes"
        raw = json.dumps(values, ensure_ascii=False)
        return BadRow(number, RejectReason.RAGGED_ROW, sentence, raw)
    return Row(number, {name: values[place] for place, name in places.items()})


def _csv_fault(number: int, error: csv.Error, line: str) -> BadRow:
    text = str(error)
    if "field limit" in text or "end of data" in text:
        # Everything after the quote was swallowed: rows would be lost without a trace.
        raise UploadFault(f"row {number} opens a quote that is never closed: correct it") from error
    return BadRow(number, RejectReason.MALFORMED_ROW, f"the row is no CSV ({text})", json.dumps([line]))


def _load(text: str) -> Any:
    # Numbers stay text: a float would turn 1e400 into infinity and 0.1 into something else.
    return json.loads(
        text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_object_of_pairs
    )


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object and mark one that names a key twice: which of the two is meant nobody can say."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        made[_REPEATED] = [name for name in made if names.count(name) > 1]
    return made


class _ArrayScanner:
    """Walk through the text of one JSON array without holding it whole."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        self._decoder = json.JSONDecoder(
            parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_object_of_pairs
        )
        self._buffer = ""
        self._at = 0
        self.count = 0
        self.around: dict[str, Any] = {}

    def items(self, key: str = "") -> Iterator[Any]:
        """Yield the items in order; an `UploadFault` where the text is no array.

        Parameters
        ----------
        key : str
            Where the array may stand inside one object; what stands before it is kept in `around`.
        """
        if not key or self._peek() == "[":
            yield from self._array()
        else:
            yield from self._array_inside(key)
        if self._peek():
            raise UploadFault("something stands after the JSON array: send one array, or JSON lines")

    def _array_inside(self, key: str) -> Iterator[Any]:
        self._take("{")
        was_found = False
        while self._peek() != "}":
            if not self._peek():
                raise UploadFault(f"the JSON object is cut off after {self.count} records: copy it again")
            if self._peek() != '"':
                raise UploadFault("it is no JSON object: a key is missing")
            name = self._decoded("the object around the records")
            self._take(":")
            if name == key and not was_found:
                was_found = True
                yield from self._array()
            else:
                self.around.setdefault(name, self._decoded(f"the value of {name!r}"))
            if self._peek() == ",":
                self._take(",")
        self._take("}")
        if not was_found:
            raise UploadFault(f"it is a JSON object without the list {key!r}: choose another source profile")

    def _array(self) -> Iterator[Any]:
        self._take("[")
        if self._peek() == "]":
            self._take("]")
        else:
            yield self._item()
            while self._peek() == ",":
                self._take(",")
                yield self._item()
            self._take("]")

    def _grow(self) -> bool:
        try:
            block = self._text.read(_JSON_BLOCK_BYTES)
        except UnicodeDecodeError as error:
            raise UploadFault("it is not UTF-8 text: save it as UTF-8") from error
        self._buffer, self._at = self._buffer[self._at :] + block, 0
        return bool(block)

    def _peek(self) -> str:
        """Next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._buffer) and self._buffer[self._at] in _BLANK:
                self._at += 1
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if not self._grow():
                return ""

    def _take(self, wanted: str) -> None:
        found = self._peek()
        if not found:
            raise UploadFault(
                f"the JSON array is cut off after {self.count} records: copy it again, completely"
            )
        if found != wanted:
            raise UploadFault(
                f"after {self.count} records stands {found!r}, not {wanted!r}: it is no JSON array"
            )
        self._at += 1

    def _item(self) -> Any:
        item = self._decoded(f"record {self.count + 1}")
        self.count += 1
        return item

    def _decoded(self, what: str) -> Any:
        self._peek()
        while True:
            try:
                item, end = self._decoder.raw_decode(self._buffer, self._at)
            except RecursionError as error:
                raise UploadFault(f"{what} is nested too deeply") from error
            except ValueError as error:
                # A record may simply not be complete yet; one longer than the bound is no record.
                if len(self._buffer) - self._at > LINE_BYTES_MAX or not self._grow():
                    raise UploadFault(f"{what} is no JSON ({_first_line(error)})") from error
            else:
                # A number at the end of the buffer may go on in the next block.
                if end == len(self._buffer) and self._grow():
                    continue
                self._at = end
                return item


def _texts(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    return [_parquet_text(value) for value in column.to_pylist()]


def _parquet_text(value: object) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.isoformat(sep=" ")  # the profile's zone, as in a CSV
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = value_text(value)
    return json.dumps(value, default=str) if text is None else text


def _is_plain(path: Path) -> bool:
    with path.open("rb") as raw:
        return raw.read(4) == _PARQUET_MAGIC


def _detect(path: Path, limits: UploadLimits, records: str) -> UploadFormat:
    """Tell the format by content first, by name where the content allows both."""
    with open_bounded(path, limits) as stream:
        head = stream.read(_HEAD_BYTES)
    if head.startswith(_PARQUET_MAGIC):
        return UploadFormat.PARQUET
    check_text(head)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    suffixes = {suffix.lower() for suffix in path.suffixes}
    if start == b"[" and ".csv" not in suffixes:
        return UploadFormat.JSON
    if start == b"{" and ".csv" not in suffixes:
        is_object = records and re.search(rb'"' + re.escape(records.encode()) + rb'"\s*:\s*\[', head)
        return UploadFormat.JSON if is_object else UploadFormat.JSON_LINES
    if suffixes & {".json", ".jsonl", ".ndjson"}:
        raise UploadFault("it is named as JSON but starts with neither [ nor {")
    return UploadFormat.CSV


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
