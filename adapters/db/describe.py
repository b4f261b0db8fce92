"""What the tables look like, for those who show them (Dagster's column schema, documentation)."""

from dataclasses import dataclass

from sqlalchemy.dialects import postgresql

from adapters.db.schema import metadata
from propdesk.core.errors import DataFault


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column of a table.

    Parameters
    ----------
    name : str
    type_name : str
        PostgreSQL's name of the type.
    is_key : bool
        Part of the primary key.
    is_nullable : bool
    """

    name: str
    type_name: str
    is_key: bool
    is_nullable: bool


def describe_table(table_name: str) -> list[ColumnInfo]:
    """List the columns of one table of ours.

    Parameters
    ----------
    table_name : str
        With its schema, e.g. ``research.trades``.

    Returns
    -------
    list of ColumnInfo
        In the table's order.

    Raises
    ------
    DataFault
        If there is no such table.
    """
    table = metadata.tables.get(table_name)
    if table is None:
        raise DataFault(f"There is no table {table_name}; tables are defined in adapters/db/schema.")
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return [
        ColumnInfo(c.name, c.type.compile(dialect).lower(), c.primary_key, bool(c.nullable))
        for c in table.columns
    ]
