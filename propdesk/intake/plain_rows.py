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

from propdesk.core.clock import NS_PER_SECOND
from propdesk.core.ids import content_hash, uuid5_text
from propdesk.core.limits import FIELD_LENGTH_MAX
from propdesk.intake.fields import minute_ns, minute_text, parse_time, time_text
from propdesk.intake.parse import (
    NOT_IDENTITY,
    IntakeTimes,
    RecordKind,
    kind_of,
    ordinal_of,
    translated_cell,
    translated_fields,
)
from propdesk.intake.profile import SourceProfile

_PLAIN = bytes(range(0x20, 0x7F)).replace(b'"', b"").replace(b"\\", b"")
_PLAIN_PATTERN = r"^[ !#-\[\]-~]*$"
_STAMPS = ("posted_at", "received_at", "edited_at")
_SECOND = r"^.{16}:[0-5][0-9]"
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
        Canonical fields as a JSON object, keys in order.
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
    chosen = pa.array(places)
    cells = {name: cell.take(chosen) for name, cell in cells.items()}
    ordinals = ordinals.take(chosen)
    posted, received = stamps["posted_at"][places], stamps["received_at"][places]
    cells["posted_at"], cells["received_at"] = _stamp_texts(posted), _stamp_texts(received)
    if "edited_at" in cells:
        edited = stamps["edited_at"][places]
        written = _stamp_texts(np.where(edited == _ABSENT, 0, edited))
        cells["edited_at"] = pc.if_else(pc.equal(cells["edited_at"], ""), "", written)
    values = {name: pc.if_else(pc.equal(cells[name], ""), None, cells[name]) for name in sorted(cells)}
    canonical = _joined(
        [_joined([name + "\x1f", value]) for name, value in values.items() if name not in NOT_IDENTITY],
        "\x1e",
    )
    pairs = _joined([_joined([f'"{name}":"', value, '"']) for name, value in values.items()], ",")
    ids = _id_names(cells, ordinals, canonical)
    return PlainRows(
        places,
        cells["kind"],
        pa.array([uuid5_text(name) for name in ids.to_pylist()], pa.string()),
        pa.array([content_hash(text) for text in canonical.to_pylist()], pa.string()),
        posted,
        received,
        _joined(["{", pairs, "}"]),
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
        cell = pc.ascii_trim_whitespace(column)
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


# ----------------------------------------------------------------------------------------------- stamps


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
    has_second = pc.match_substring_regex(column, _SECOND)
    minutes = _joined([pc.utf8_slice_codeunits(column, 0, 16), pc.utf8_slice_codeunits(column, 19)])
    coded = minutes.dictionary_encode()
    starts = [minute_ns(text, profile.offset_minutes) for text in coded.dictionary.to_pylist()]
    known = np.array([_ABSENT if start is None else start for start in starts], dtype=np.int64)
    start_ns = known[coded.indices.to_numpy()]
    seconds = pc.if_else(has_second, pc.utf8_slice_codeunits(column, 17, 19), "0").cast(pa.int64())
    is_read = _flags(has_second) & (start_ns != _ABSENT)
    found = np.where(is_read, start_ns + seconds.to_numpy() * NS_PER_SECOND, _ABSENT)
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
    minutes, places = np.unique(seconds // 60, return_inverse=True)
    starts = pa.array([minute_text(one) for one in minutes.tolist()], pa.string()).take(pa.array(places))
    return _joined([starts, _SECOND_TEXTS.take(pa.array(seconds % 60))])


_SECOND_TEXTS = pa.array([f":{second:02d}+00:00" for second in range(60)], pa.string())
