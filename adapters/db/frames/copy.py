"""Frames to tables and back by COPY; the only way frames reach PostgreSQL.

Rows go in as the server keeps them, from Arrow by compiled code, and come out as CSV, which Arrow reads by
compiled code: no value passes through the interpreter but documents and lists. In the CSV an unquoted empty
field is NULL, a quoted one an empty text. Rows are converted a slice at a time, so that writing a large frame
needs little beside it.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import numpy as np
import orjson
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.csv as pacsv
import sqlalchemy
from pgpq import ArrowToPostgresBinaryEncoder
from pgpq.encoders import StringEncoderBuilder
from pgpq.schema import Jsonb
from psycopg import sql
from psycopg.postgres import types as pg_types

from adapters.ahead import one_ahead
from propdesk.core.invariant import require

Connection: TypeAlias = psycopg.Connection[Any] | sqlalchemy.Connection
"""A psycopg connection, or SQLAlchemy's around one; the caller commits."""

_CSV_BLOCK_BYTES = 1 << 24
_ROWS_AT_ONCE = 50_000
_INTEGER_TYPES = frozenset({"int2", "int4", "int8"})
_FLOAT_TYPES = frozenset({"float4", "float8"})
_DOCUMENT_TYPES = frozenset({"json", "jsonb"})
_WRITTEN = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", "UTC"),
    "text": pa.string(),
    "varchar": pa.string(),
    "jsonb": pa.string(),
}
"""Type of Arrow that stands for a column's type on the way into the server."""


def replace_range(
    connection: Connection,
    table_name: str,
    frame: pd.DataFrame,
    *,
    partition_column: str,
    first: date,
    last: date,
) -> int:
    """Delete the partitions of the closed range and write the frame's rows in their place.

    Parameters
    ----------
    connection : psycopg.Connection or sqlalchemy.Connection
        The deletion and the rows become one part of its transaction; the caller commits.
    table_name : str
        ``schema.table``.
    frame : DataFrame
        A column for every column of the table; others are left out. NaN, NaT and None become NULL.
        Lists or arrays for array columns, mappings for JSON, aware stamps for timestamptz. A categorical
        column stands for the values of its categories.
    partition_column : str
        Date column of the table; all its values lie in the range.
    first, last : date
        Closed range of partitions.

    Returns
    -------
    int
        Rows written, in the order of the table's primary key, so that equal frames give equal tables.

    Raises
    ------
    InvariantViolated
        If a column is missing or a row lies outside the range.
    """
    raw = driver_connection(connection)
    target = _identifier(table_name)
    columns = _columns_of(raw, sql.SQL("SELECT * FROM {}").format(target))
    missing = [name for name, _, _ in columns if name not in frame.columns]
    require(not missing, f"the frame for {table_name} has no column {', '.join(missing)}")
    if len(frame):
        partitions = _as_dates(pd.Series(frame[partition_column].unique()))
        require(
            all(day is not None and first <= day <= last for day in partitions),
            f"rows for {table_name} lie outside {first}..{last}",
        )
    with raw.cursor() as cursor:
        cursor.execute(
            sql.SQL("DELETE FROM {} WHERE {column} BETWEEN %s AND %s").format(
                target, column=sql.Identifier(partition_column)
            ),
            (first, last),
        )
    return _write(raw, target, columns, _sorted_by_key(raw, table_name, frame))


def append_frame(connection: Connection, table_name: str, frame: pd.DataFrame) -> int:
    """Write a frame's rows without deleting any; otherwise as `replace_range`."""
    raw = driver_connection(connection)
    target = _identifier(table_name)
    columns = _columns_of(raw, sql.SQL("SELECT * FROM {}").format(target))
    missing = [name for name, _, _ in columns if name not in frame.columns]
    require(not missing, f"the frame for {table_name} has no column {', '.join(missing)}")
    return _write(raw, target, columns, _sorted_by_key(raw, table_name, frame))


def read_frame(
    connection: Connection,
    statement: str | sql.Composable,
    params: Sequence[object] | Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """Read the rows of a query.

    Parameters
    ----------
    connection : psycopg.Connection or sqlalchemy.Connection
        Read within its transaction.
    statement : str or psycopg.sql.Composable
        One SELECT with psycopg placeholders (``%s``, ``%(name)s``), no semicolon.
    params : sequence or mapping, optional
        Values of the placeholders.

    Returns
    -------
    DataFrame
        Whole numbers ``int64`` (``Int64`` where a NULL stands), ``float64`` with NaN, ``bool`` (``boolean``
        where a NULL stands), text ``str`` with NaN, dates as `datetime.date` or None, stamps
        ``datetime64[ns, UTC]``, arrays as lists, JSON as dicts, lists …
    """
    raw = driver_connection(connection)
    query = sql.SQL(statement) if isinstance(statement, str) else statement
    columns = _columns_of(raw, query, params)
    if not columns:
        return pd.DataFrame()
    picked = sql.SQL(", ").join(_read_expression(*column) for column in columns)
    wrapped = sql.SQL("COPY (SELECT {} FROM ({}) AS q) TO STDOUT WITH (FORMAT csv)").format(picked, query)
    buffer = io.BytesIO()
    with raw.cursor() as cursor, cursor.copy(wrapped, params) as copy:
        for block in copy:
            buffer.write(block)
    return _parse(buffer, columns)


# ------------------------------------------------------------------------------------------- connection


def driver_connection(connection: Connection) -> psycopg.Connection[Any]:
    """Give psycopg's own connection; statements on it belong to the same transaction."""
    if isinstance(connection, psycopg.Connection):
        return connection
    if not connection.in_transaction():
        connection.begin()  # otherwise SQLAlchemy would not know that there is something to commit
    driver = connection.connection.driver_connection
    require(isinstance(driver, psycopg.Connection), "the engine must use postgresql+psycopg")
    return driver  # type: ignore[return-value]  # just required


def _identifier(table_name: str) -> sql.Identifier:
    schema, _, table = table_name.partition(".")
    require(bool(schema and table), f"{table_name!r} is not schema.table")
    return sql.Identifier(schema, table)


def _columns_of(
    raw: psycopg.Connection[Any],
    query: sql.Composable,
    params: Sequence[object] | Mapping[str, object] | None = None,
) -> list[tuple[str, str, bool]]:
    """Name, base type and whether it is an array, per column."""
    with psycopg.ClientCursor(raw) as cursor:
        cursor.execute(sql.SQL("SELECT * FROM ({}) AS q LIMIT 0").format(query), params)
        description = cursor.description or []
    found = []
    for column in description:
        info = pg_types.get(column.type_code)
        require(info is not None, f"column {column.name} has a type psycopg does not know")
        is_array = info is not None and info.array_oid == column.type_code
        found.append((column.name, info.name if info else "", is_array))
    return found


def _sorted_by_key(raw: psycopg.Connection[Any], table_name: str, frame: pd.DataFrame) -> pd.DataFrame:
    with raw.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_index i"
            " CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, rank)"
            " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
            " WHERE i.indrelid = %s::regclass AND i.indisprimary ORDER BY k.rank",
            (table_name,),
        )
        keys = [row[0] for row in cursor.fetchall()]
    if not keys or len(frame) < 2:
        return frame
    by = pd.DataFrame({name: _ranked(frame[name]) for name in keys}, copy=False)
    order = by.sort_values(keys, kind="stable", ignore_index=False).index.to_numpy()
    # Most frames come in this order, and taking the rows of a large one copies all of it.
    return frame if bool((order == np.arange(len(order))).all()) else frame.iloc[order]


def _ranked(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Give a column whose order is that of its values; a categorical's is that of its categories."""
    column = column.reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype) and not column.cat.categories.is_monotonic_increasing:
        return column.cat.reorder_categories(sorted(column.cat.categories))
    return column


# ------------------------------------------------------------------------------------------------ write


def _write(
    raw: psycopg.Connection[Any],
    target: sql.Identifier,
    columns: list[tuple[str, str, bool]],
    frame: pd.DataFrame,
) -> int:
    if frame.empty:
        return 0
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT binary)").format(
        target, sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in columns)
    )
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for block in _blocks(frame, columns):
            copy.write(block)
    return len(frame)


def _blocks(frame: pd.DataFrame, columns: list[tuple[str, str, bool]]) -> Iterator[bytes]:
    """Give the frame in the server's own form; while it takes a slice in, a thread makes the next."""
    types = {name: _written_type(base, is_array=is_array) for name, base, is_array in columns}
    schema = pa.schema(types)
    encoder = _encoder(schema, {name for name, base, _ in columns if base == "jsonb"})

    def make(start: int) -> bytes:
        part = frame.iloc[start : start + _ROWS_AT_ONCE]
        arrays = [_named(name, part[name], types[name], base, is_array=arr) for name, base, arr in columns]
        # pandas may keep texts in several pieces
        (batch,) = pa.table(arrays, schema=schema).combine_chunks().to_batches()
        return encoder.write_batch(batch)

    yield encoder.write_header()
    yield from one_ahead(map(make, range(0, len(frame), _ROWS_AT_ONCE)))
    yield encoder.finish()


def _encoder(schema: pa.Schema, documents: set[str]) -> ArrowToPostgresBinaryEncoder:
    """Give the encoder of a table; its documents are texts to Arrow and jsonb to the server."""
    encoders = {
        field.name: StringEncoderBuilder.new_with_output(field, Jsonb())
        if field.name in documents
        else ArrowToPostgresBinaryEncoder.infer_encoder(field)
        for field in schema
    }
    return ArrowToPostgresBinaryEncoder.new_with_encoders(schema, encoders)


def _written_type(base: str, *, is_array: bool) -> pa.DataType:
    kind = _WRITTEN.get(base)
    require(kind is not None, f"a frame cannot be written to a column of type {base}")
    return pa.list_(kind) if is_array else kind


def _named(name: str, column: "pd.Series[Any]", kind: pa.DataType, base: str, *, is_array: bool) -> pa.Array:
    """Convert a column; what it refuses says which column it was."""
    try:
        return _to_arrow(column, kind, base, is_array=is_array)
    except (pa.ArrowException, TypeError, ValueError) as error:
        error.add_note(f"in column {name}")
        raise


def _to_arrow(column: "pd.Series[Any]", kind: pa.DataType, base: str, *, is_array: bool) -> pa.Array:
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = _to_arrow(pd.Series(column.cat.categories), kind, base, is_array=is_array)
        codes = column.cat.codes.to_numpy()
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), values).dictionary_decode()
    if is_array:
        return pa.array([None if _is_missing(value) else value for value in column], kind)
    if base in _DOCUMENT_TYPES:
        return pa.array([_document_text(value) for value in column], kind)
    if base in _INTEGER_TYPES:
        # "Int64" refuses fractions instead of cutting them off
        whole = column if column.dtype.kind in "iu" else column.astype("Int64")
        return pa.array(whole, pa.int64(), from_pandas=True).cast(kind)
    if base == "timestamptz":
        stamps = pd.to_datetime(column, utc=True).astype("datetime64[us, UTC]")
        return pa.array(stamps, kind, from_pandas=True)
    if base == "date":
        return pa.array(_as_dates(column), kind)
    if base in _FLOAT_TYPES:
        numbers = pd.to_numeric(column).to_numpy(dtype="float64", na_value=np.nan)
        return pa.array(numbers, from_pandas=True).cast(kind)
    if base == "bool":
        return pa.array(column.astype("boolean"), kind, from_pandas=True)
    return pa.array(column.astype("str"), kind, from_pandas=True)


def _as_dates(column: "pd.Series[Any]") -> list[date | None]:
    if column.dtype.kind == "M":
        return [None if pd.isna(value) else value.date() for value in column]
    return [None if value is None or value is pd.NaT or value != value else value for value in column]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _document_text(value: Any) -> str | None:
    if _is_missing(value):
        return None
    # Sorted keys: equal documents give equal bytes whatever order they were built in.
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()


# ------------------------------------------------------------------------------------------------- read


def _read_expression(name: str, base: str, is_array: bool) -> sql.Composable:
    column = sql.Identifier("q", name)
    if is_array:
        return sql.SQL("array_to_json({})").format(column)
    if base == "timestamptz":
        return sql.SQL("{} AT TIME ZONE 'UTC'").format(column)
    if base == "numeric":
        return sql.SQL("{}::float8").format(column)
    if base == "bool":
        return sql.SQL("{}::int").format(column)
    return column


def _arrow_type(base: str, *, is_array: bool) -> pa.DataType:
    if is_array:
        return pa.string()
    if base in _INTEGER_TYPES or base == "bool":
        return pa.int64()
    if base in _FLOAT_TYPES or base == "numeric":
        return pa.float64()
    return {"date": pa.date32(), "timestamptz": pa.timestamp("us")}.get(base, pa.string())


def _parse(buffer: io.BytesIO, columns: list[tuple[str, str, bool]]) -> pd.DataFrame:
    # Positions as names: a query may name two columns alike, and Arrow's parser would mix them.
    places = [str(i) for i in range(len(columns))]
    types = {
        place: _arrow_type(base, is_array=is_array)
        for place, (_, base, is_array) in zip(places, columns, strict=True)
    }
    if buffer.tell() == 0:
        table = pa.table({place: pa.array([], types[place]) for place in places})
    else:
        buffer.seek(0)
        table = pacsv.read_csv(
            buffer,
            read_options=pacsv.ReadOptions(
                column_names=places, block_size=_CSV_BLOCK_BYTES, use_threads=False
            ),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(
                column_types=types,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    series = [
        _to_pandas(table.column(place), base, is_array=is_array)
        for place, (_, base, is_array) in zip(places, columns, strict=True)
    ]
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index([name for name, _, _ in columns])
    return frame


def _to_pandas(column: pa.ChunkedArray, base: str, *, is_array: bool) -> "pd.Series[Any]":
    if is_array or base in _DOCUMENT_TYPES:
        values = [None if text is None else orjson.loads(text) for text in column.to_pylist()]
        return pd.Series(values, dtype="object")
    if base == "date":
        return pd.Series(column.to_pylist(), dtype="object")
    if base == "bool":
        column = column.cast(pa.bool_())
    plain: pd.Series[Any] = column.to_pandas(types_mapper=_nullable if column.null_count else None)
    if base == "timestamptz":
        return plain.astype("datetime64[ns]").dt.tz_localize("UTC")
    return plain.astype("str") if pa.types.is_string(column.type) else plain


def _nullable(kind: pa.DataType) -> Any:
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)
