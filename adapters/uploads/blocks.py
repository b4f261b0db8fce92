"""Rows that follow each other, column by column; and the lines of a CSV that compiled code may take apart."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from adapters.uploads.limits import LINE_BYTES_MAX

if TYPE_CHECKING:
    import pyarrow as pa  # imported where it is used: 40 MB that the live side does not need

_BLOCK_BYTES = 1 << 20
_CSV_FIELD_MAX = 131_072
"""Longest field of the `csv` module; a line no longer cannot hold one that is."""
_PLAIN = bytes(range(0x20, 0x7F)).replace(b'"', b"") + b"\t\r\n"


class Row(NamedTuple):
    """One row: canonical field to raw text. ``number`` counts data rows from 1.

    ``source_key`` is the source's own key, where it has one beside the fields.
    """

    number: int
    fields: dict[str, str]
    source_key: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that follow each other.

    Attributes
    ----------
    numbers : sequence of int
        Number of each row, counted from 1.
    columns : mapping of str to Array of string
        Canonical field to raw texts, as long as ``numbers`` and without nulls; at least one.
    originals : sequence of Row, optional
        The rows, where they were read one by one.
    """

    numbers: Sequence[int]
    columns: "Mapping[str, pa.Array]"
    originals: Sequence[Row] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, start: int, stop: int) -> "Block":
        """Give the rows at the positions from ``start`` to before ``stop``."""
        columns = {name: column.slice(start, stop - start) for name, column in self.columns.items()}
        originals = None if self.originals is None else self.originals[start:stop]
        return Block(self.numbers[start:stop], columns, originals)

    def row(self, place: int) -> Row:
        """Give the row at a position."""
        if self.originals is not None:
            return self.originals[place]
        fields = {name: column[place].as_py() for name, column in self.columns.items()}
        return Row(self.numbers[place], fields)

    def rows(self) -> Iterator[Row]:
        """Yield the rows in order."""
        names = list(self.columns)
        texts = zip(*(column.to_pylist() for column in self.columns.values()), strict=True)
        for number, values in zip(self.numbers, texts, strict=True):
            yield Row(number, dict(zip(names, values, strict=True)))


def block_of(rows: Sequence[Row]) -> Block | None:
    """Put rows side by side; None where Arrow cannot hold them (a lone surrogate) or none holds a field.

    A field that a row lacks is an empty text: to the intake both say nothing.
    """
    import pyarrow as pa

    names = dict.fromkeys(name for row in rows for name in row.fields)
    try:
        columns = {name: pa.array([row.fields.get(name, "") for row in rows], pa.string()) for name in names}
    except UnicodeEncodeError:
        return None
    return Block([row.number for row in rows], columns, rows) if names else None


class LookedAhead:
    """A stream of lines that are read far ahead, so that plain ones can be taken by the block.

    Parameters
    ----------
    stream : BufferedReader
        At its start.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._held = b""
        self._at = 0

    def readline(self, limit: int) -> bytes:
        """Give the next line with its end, or the first ``limit`` bytes of a longer one; empty at the end."""
        if not self.is_ahead:
            self._fill()
        found = self._held.find(b"\n", self._at, self._at + limit)
        end = min(self._at + limit, len(self._held)) if found < 0 else found + 1
        line = self._held[self._at : end]
        self._at = end
        return line

    @property
    def is_ahead(self) -> bool:
        """Whether something that was read has not been given out yet."""
        return self._at < len(self._held)

    def plain_lines(self) -> bytes:
        """Give all whole lines that are held, without taking them, if all are plain; nothing if not.

        Plain is printable ASCII without quotes, ended by LF or CR LF, in lines that no limit of the `csv`
        module concerns: there is one way only to take such lines apart.
        """
        if not self.is_ahead:
            self._fill()
        block = self._held[self._at :]
        is_plain = (
            not block.translate(None, _PLAIN)
            and block.count(b"\r") == block.count(b"\r\n")
            and max(map(len, block.split(b"\n"))) < _CSV_FIELD_MAX
        )
        return block if is_plain else b""

    def pass_over(self) -> None:
        """Take all lines that are held."""
        self._at = len(self._held)

    def _fill(self) -> None:
        block = self._stream.read(_BLOCK_BYTES)
        if block and not block.endswith(b"\n"):
            block += self._stream.readline(LINE_BYTES_MAX + 1)
        self._held, self._at = block, 0


def split_plain(
    block: bytes, delimiter: str, count_columns: int, places: Mapping[int, str], first_number: int
) -> Block | None:
    """Take plain lines apart by their delimiters.

    Parameters
    ----------
    block : bytes
        From `LookedAhead.plain_lines`.
    count_columns : int
        Fields of every line; empty lines are passed over.
    places : mapping of int to str
        Position to canonical field, at least one.
    first_number : int
        Number of the first row.

    Returns
    -------
    Block or None
        None where a line has another number of fields.
    """
    import pyarrow as pa
    import pyarrow.csv as pacsv

    titles = [str(place) for place in range(count_columns)]
    wanted = [str(place) for place in places]
    try:
        table = pacsv.read_csv(
            io.BytesIO(block),
            read_options=pacsv.ReadOptions(column_names=titles, block_size=len(block) + 1, use_threads=False),
            parse_options=pacsv.ParseOptions(
                delimiter=delimiter, quote_char=False, double_quote=False, escape_char=False
            ),
            convert_options=pacsv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid:
        return None
    columns = {
        name: table.column(title).combine_chunks()
        for name, title in zip(places.values(), wanted, strict=True)
    }
    return Block(range(first_number, first_number + table.num_rows), columns)
