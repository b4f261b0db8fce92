"""Rows that read plainly, landed column by column: what `propdesk.intake.parse.land_row` gives, for less.

A file's rows repeat themselves: a few hundred advisors, symbols and days, some thousand minutes. What needs
a function of the domain is asked once per distinct cell, everything else is done by Arrow's compiled code. A
row is *plain* if its cells are printable ASCII without quote and backslash and nothing about it is refused;
any other is left to `land_row`, which therefore words every refusal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from propdesk.core.clock import NS_PER_DAY, NS_PER_SECOND
from propdesk.core.ids import content_digests, uuid5_digests
from propdesk.core.limits import FIELD_LENGTH_MAX
from propdesk.intake.fields import minute_ns, parse_time, time_text
from propdesk.intake.parse import (
    NOT_IDENTITY,
    IntakeTimes,
    RecordKind,
    content_order,
    kind_of,
    ordinal_of,
    translated_cell,
    translated_fields,
)
from propdesk.intake.profile import SourceProfile

_PLAIN = bytes(range(0x20, 0x7F)).replace(b'"', b"").replace(b"\\", b"")
_PLAIN_PATTERN = r"^[ !#-\[\]-~]*$"
_STAMPS = ("posted_at", "received_at", "edited_at")
_ABSENT = np.iinfo(np.int64).min
"""Stands for a stamp that is not there: before all others."""


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Landed records of the plain rows among some rows, column by column.

    Attributes
    ----------
    places : ndarray of int64, shape (n,)
        Positions of the plain rows, rising. All other columns have one value for each of these.
    kinds, record_ids, content_hashes : Array of string
    posted_ns, received_ns : ndarray of int64, shape (n,)
        ns UTC.
    contents : Array of string
        By `propdesk.intake.parse.content_text`.
    advisor_ids : Array of string
        Of the content; null where it has none.
    categories, symbols : Array of string
        Of the content; empty where it has none.
    """

    places: NDArray[np.int64]
    kinds: pa.Array
    record_ids: pa.Array
    content_hashes: pa.Array
    posted_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    contents: pa.Array
    advisor_ids: pa.Array
    categories: pa.Array
    symbols: pa.Array


def land_plain_rows(
    columns: Mapping[str, pa.Array],
    profile: SourceProfile,
    times: IntakeTimes,
    *,
    field_length_max: int = FIELD_LENGTH_MAX,
) -> PlainRows:
    """Land those of some rows that read plainly.

    Parameters
    ----------
    columns : mapping of str to Array of string
        Canonical field to raw texts without nulls, all of one length, at least one column.
    profile : SourceProfile
        How to read them; not one of free text.
    times : IntakeTimes
        When they came in.
    field_length_max : int
        Characters one field may have.

    Returns
    -------
    PlainRows
        Each as `land_row` lands it; rows that it would refuse are not among them.
    """
    count = len(next(iter(columns.values())))
    cells, is_plain = _trimmed(columns, field_length_max)
    for name, value in profile.defaults.items():
        cells[name] = _or_else(cells.get(name), value, count)
    for name in translated_fields(profile):
        if name in cells:
            cells[name] = _mapped(cells[name], _translator(name, profile))
    kinds = _mapped(cells.get("kind", _constant("", count)), _kind_text)
    ordinals = _mapped(cells.get("ordinal", _constant("0", count)), _ordinal_text)
    stamps, is_dated = _stamps(cells, profile, times, count)
    cells["kind"], cells["source"] = kinds, _or_else(cells.get("source"), profile.source, count)
    for column in (*cells.values(), ordinals):
        if column.null_count:
            is_plain &= _flags(pc.is_valid(column))
    return _landed(cells, ordinals, stamps, np.flatnonzero(is_plain & is_dated))


def _landed(
    cells: dict[str, pa.Array],
    ordinals: pa.Array,
    stamps: dict[str, NDArray[np.int64]],
    places: NDArray[np.int64],
) -> PlainRows:
    """Write the content of the rows at some places and name it."""
    if len(places) < len(ordinals):
        chosen = pa.array(places)
        cells = {name: cell.take(chosen) for name, cell in cells.items()}
        ordinals = ordinals.take(chosen)
    posted, received = stamps["posted_at"][places], stamps["received_at"][places]
    cells["posted_at"], cells["received_at"] = _stamp_texts(posted), _stamp_texts(received)
    if "edited_at" in cells:
        edited = stamps["edited_at"][places]
        written = _stamp_texts(np.where(edited == _ABSENT, 0, edited))
        cells["edited_at"] = pc.if_else(pc.equal(cells["edited_at"], ""), "", written)
    values = {name: _null_if_empty(cell) for name, cell in cells.items()}
    canonical = _listed(values, sorted(values.keys() - NOT_IDENTITY), ("", "\x1f", ""), "\x1e")
    pairs = _listed(values, sorted(values, key=content_order), ('"', '": "', '"'), ", ")
    ids = _id_names(cells, ordinals, canonical)
    return PlainRows(
        places,
        cells["kind"],
        _uuid_texts(uuid5_digests(ids.cast(pa.binary()).to_pylist())),
        _fixed_texts(_hex(content_digests(canonical.cast(pa.binary()).to_pylist()), 32)),
        posted,
        received,
        _joined(["{", pairs, "}"]),
        values.get("advisor_id", pa.nulls(len(places), pa.string())),
        *(cells.get(name, _constant("", len(places))) for name in ("category", "symbol")),
    )


def _id_names(cells: Mapping[str, pa.Array], ordinals: pa.Array, canonical: pa.Array) -> pa.Array:
    """Give what `propdesk.core.ids` makes the records' ids of: signal_id, content_signal_id, derived_id."""
    is_followup = pc.equal(cells["kind"], RecordKind.FOLLOWUP.value)
    message = cells.get("source_message_id", _constant("", len(canonical)))
    has_message = pc.not_equal(message, "")
    by_content = pc.and_(pc.invert(is_followup), pc.invert(has_message))
    kind = pc.if_else(is_followup, "followup|", pc.if_else(has_message, "signal|", "content|"))
    named = pc.if_else(has_message, message, canonical)
    end = pc.if_else(by_content, "", _joined(["|", ordinals]))
    return _joined([kind, cells["source"], "|", named, end])


# ------------------------------------------------------------------------------------------------ cells


def _trimmed(
    columns: Mapping[str, pa.Array], field_length_max: int
) -> tuple[dict[str, pa.Array], NDArray[np.bool_]]:
    """Cells without blanks around them, and which rows hold plain ones only."""
    is_plain = np.ones(len(next(iter(columns.values()))), dtype=bool)
    cells = {}
    for name, column in columns.items():
        if not _is_plain_throughout(column):
            is_plain &= _flags(pc.match_substring_regex(column, _PLAIN_PATTERN))
        cell = pc.ascii_trim_whitespace(column) if _may_have_blanks(column) else column
        lengths = pc.binary_length(cell)
        longest = pc.max(lengths).as_py() or 0
        if longest > field_length_max:
            is_plain &= _flags(pc.less_equal(lengths, field_length_max))
        if longest:  # a column without a single text says nothing
            cells[name] = cell
    return cells, is_plain


def _is_plain_throughout(column: pa.Array) -> bool:
    """Whether no byte near a column's texts is odd: one look at all of them, where most have none."""
    held = column.buffers()[2]
    return held is None or not held.to_pybytes().translate(None, _PLAIN)


def _may_have_blanks(column: pa.Array) -> bool:
    """Whether a blank stands in or near a column's texts; of what is no plain text nothing is asked."""
    held = column.buffers()[2]
    return held is not None and b" " in held.to_pybytes()


def _mapped(column: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """Apply a function to each distinct text; its None, and what is not plain, becomes null."""
    coded = column.dictionary_encode()
    found = [None if text is None else function(text) for text in coded.dictionary.to_pylist()]
    return pa.array([_plain_or_none(text) for text in found], pa.string()).take(coded.indices)


def _plain_or_none(text: str | None) -> str | None:
    is_plain = text is not None and text.isascii() and not text.encode().translate(None, _PLAIN)
    return text if is_plain else None


def _translator(name: str, profile: SourceProfile) -> Callable[[str], str | None]:
    def translate(text: str) -> str | None:
        return text and (translated_cell(name, text, profile) or None)  # a text that went is not plain

    return translate


def _kind_text(text: str) -> str | None:
    kind = kind_of(text)
    return None if kind is None else kind.value


def _ordinal_text(text: str) -> str | None:
    ordinal = ordinal_of(text or "0")
    return None if ordinal is None else str(ordinal)


def _or_else(column: pa.Array | None, text: str, count: int) -> pa.Array:
    """Give a column with a text in its empty cells; null where that is not plain, or empty itself."""
    given = pa.scalar(_plain_or_none(text) or None, pa.string())
    return pa.repeat(given, count) if column is None else pc.if_else(pc.equal(column, ""), given, column)


def _constant(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), count)


def _flags(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool)


def _joined(parts: list[Any], separator: str = "") -> pa.Array:
    """Join texts row by row; between separators a part that is null is left out, else all is null."""
    handling = "skip" if separator else "emit_null"
    return pc.binary_join_element_wise(*parts, separator, null_handling=handling)


def _null_if_empty(cell: pa.Array) -> pa.Array:
    """Give a column with nulls for its empty texts."""
    lengths = pc.binary_length(cell)
    return cell if pc.min(lengths).as_py() else pc.if_else(pc.equal(lengths, 0), None, cell)


def _listed(
    values: Mapping[str, pa.Array], names: list[str], around: tuple[str, str, str], separator: str
) -> pa.Array:
    """Write each row's fields, name and value, in the order of the names; those that are null are left out.

    ``around`` stands before the name, between name and value, and after the value. Fields that every row has
    are joined in one go.
    """
    before, between, after = around
    pieces: list[list[Any]] = []
    was_whole = False
    for name in names:
        is_whole = not values[name].null_count
        start = f"{before}{name}{between}"
        if is_whole and was_whole:
            pieces[-1][-1] += separator + start
            pieces[-1] += [values[name], after]
        else:
            pieces.append([start, values[name], after])
        was_whole = is_whole
    return _joined([_joined(piece) for piece in pieces], separator)


# ----------------------------------------------------------------------------------------- fixed lengths

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), dtype=np.uint16)
_UUID_PLACES = np.array([place for place in range(36) if place not in (8, 13, 18, 23)])


def _fixed_texts(letters: NDArray[np.uint8]) -> pa.Array:
    """Give texts of one length, shape (n, length) of ASCII."""
    count, length = letters.shape
    offsets = np.arange(0, (count + 1) * length, length, dtype=np.int32)
    held = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters))]
    return pa.Array.from_buffers(pa.string(), count, held)


def _hex(digests: bytes, size: int) -> NDArray[np.uint8]:
    """Write digests of ``size`` bytes in hex, shape (n, 2 * size)."""
    return _HEX[np.frombuffer(digests, dtype=np.uint8)].view(np.uint8).reshape(-1, 2 * size)


def _uuid_texts(digests: bytes) -> pa.Array:
    """Make ids of digests as `propdesk.core.ids.uuid5_text` does."""
    kept = np.frombuffer(digests, dtype=np.uint8).reshape(-1, 20)[:, :16].copy()
    kept[:, 6] = kept[:, 6] & 0x0F | 0x50
    kept[:, 8] = kept[:, 8] & 0x3F | 0x80
    letters = np.full((len(kept), 36), ord("-"), dtype=np.uint8)
    letters[:, _UUID_PLACES] = _hex(kept.tobytes(), 16)
    return _fixed_texts(letters)


# ----------------------------------------------------------------------------------------------- stamps

_STAMP_LENGTH = 25
_CLOCK = slice(11, 19)
_CLOCK_LENGTH = 19
_ZONE_LENGTH = 7
"""A blank and an offset with its colon."""


def _stamps(
    cells: Mapping[str, pa.Array], profile: SourceProfile, times: IntakeTimes, count: int
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.bool_]]:
    """Read the stamps as `propdesk.intake.parse` does, ns UTC, and say which rows' are in order."""
    read = {name: _read_stamps(pc.fill_null(cells[name], ""), profile) for name in _STAMPS if name in cells}
    absent = np.full(count, _ABSENT)
    posted, is_ok = read.get("posted_at", (absent, np.zeros(count, dtype=bool)))
    is_ok = is_ok & (posted != _ABSENT)
    heard, is_read = read.get("received_at", (absent, np.ones(count, dtype=bool)))
    edited, is_edit_read = read.get("edited_at", (absent, np.ones(count, dtype=bool)))
    said = np.maximum(posted, edited)
    latest = times.ingested_ns + times.future_tolerance_ns
    is_ok &= is_read & is_edit_read & (np.maximum(said, heard) <= latest)
    # What is out of order above is no longer asked for: of an absent stamp no lag can be counted.
    known = np.where(is_ok, said, 0) + times.receive_lag_ns
    heard = np.where(heard == _ABSENT, known, heard)
    is_ok &= heard >= np.where(is_ok, posted, 0) - times.future_tolerance_ns
    received = np.maximum(heard, edited)
    return {"posted_at": posted, "received_at": received, "edited_at": edited}, is_ok


def _read_stamps(column: pa.Array, profile: SourceProfile) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Read a column of stamps; the second says which are readable or empty."""
    found = _clock_stamps(column, profile.offset_minutes)
    is_read = found != _ABSENT
    others: dict[str, int | None] = {"": None}
    for place in np.flatnonzero(~is_read).tolist():
        text = column[place].as_py()
        if text not in others:
            others[text] = parse_time(text, profile.time_formats, profile.offset_minutes)
        moment = others[text]
        is_read[place] = moment is not None or not text
        found[place] = _ABSENT if moment is None else moment
    return found, is_read


def _stamp_texts(ns: NDArray[np.int64]) -> pa.Array:
    """Write moments as `time_text` does."""
    seconds, rest = np.divmod(ns, NS_PER_SECOND)
    if rest.any():
        return pa.array([time_text(one) for one in ns.tolist()], pa.string())
    days, seconds = np.divmod(seconds, NS_PER_DAY // NS_PER_SECOND)
    known, places = np.unique(days, return_inverse=True)
    starts = b"".join([time_text(day * NS_PER_DAY).encode() for day in known.tolist()])
    letters = np.frombuffer(starts, dtype=np.uint8).reshape(-1, _STAMP_LENGTH)[places]
    for place, unit, base in ((11, 3600, 24), (14, 60, 60), (17, 1, 60)):
        number = seconds // unit % base
        letters[:, place] = ord("0") + number // 10
        letters[:, place + 1] = ord("0") + number % 10
    return _fixed_texts(letters)


def _clock_stamps(column: pa.Array, offset_minutes: int) -> NDArray[np.int64]:
    """Read stamps that name the second, ns UTC: each distinct day and zone once, the clock by columns.

    What reads otherwise, or not at all, is absent.
    """
    offsets = np.frombuffer(column.buffers()[1], dtype=np.int32)[column.offset :][: len(column) + 1]
    starts, lengths = offsets[:-1], np.diff(offsets)
    found = np.full(len(column), _ABSENT)
    may_read = (lengths >= _CLOCK_LENGTH) & (lengths <= _CLOCK_LENGTH + _ZONE_LENGTH)
    rows = np.flatnonzero(may_read)
    if not len(rows):
        return found
    width = _CLOCK_LENGTH + _ZONE_LENGTH
    held = np.frombuffer(column.buffers()[2], dtype=np.uint8)
    places = starts[rows, None] + np.arange(width)
    letters = held[np.minimum(places, len(held) - 1)]
    letters[np.arange(width) >= lengths[rows, None]] = 0
    seconds = _seconds_of_day(letters)
    letters[:, _CLOCK] = np.frombuffer(b"00:00\0\0\0", dtype=np.uint8)
    texts, inverse = np.unique(letters.view(f"S{width}")[:, 0], return_inverse=True)
    days = [minute_ns(text.replace(b"\0", b"").decode("latin-1"), offset_minutes) for text in texts.tolist()]
    midnights = np.array([_ABSENT if day is None else day for day in days], dtype=np.int64)[inverse]
    is_read = (midnights != _ABSENT) & (seconds >= 0)
    found[rows[is_read]] = midnights[is_read] + seconds[is_read] * NS_PER_SECOND
    return found


def _seconds_of_day(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Read ``hh:mm:ss`` of stamps, one a row; -1 where no time of day stands there."""
    digits = letters[:, _CLOCK].astype(np.int64) - ord("0")
    is_clock = (letters[:, 13] == ord(":")) & (letters[:, 16] == ord(":"))
    total = np.zeros(len(letters), dtype=np.int64)
    for place, unit, base in ((0, 3600, 24), (3, 60, 60), (6, 1, 60)):
        tens, ones = digits[:, place], digits[:, place + 1]
        number = tens * 10 + ones
        is_clock &= (tens >= 0) & (ones >= 0) & (ones <= 9) & (number < base)
        total += number * unit
    return np.where(is_clock, total, -1)
