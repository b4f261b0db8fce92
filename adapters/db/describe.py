"""What the tables look like, for those who show them (Dagster's column schema, documentation)."""

from dataclasses import dataclass
from typing import Any, Final

import yaml
from sqlalchemy.dialects import postgresql

from adapters.db.schema import metadata
from adapters.settings import CLONE_ROOT
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
    unit : str or None
        What its values are measured in; None where the name carries no unit.
    description : str
        What it says, where the table's maker wrote it down.
    """

    name: str
    type_name: str
    is_key: bool
    is_nullable: bool
    unit: str | None = None
    description: str = ""


_MARTS: Final = CLONE_ROOT / "dbt_project" / "models" / "marts"
_UNITS: Final = {
    "_paise": "INR in paise: 100 paise are one rupee",
    "_ns": "ns since 1970, UTC",
    "_at": "moment, kept in UTC",
    "_r": "multiples of R, the idea's risk from fill to stop",
    "_ratio": "fraction: 0.15 is 15 %",
    "_share": "fraction: 0.15 is 15 %",
    "_date": "day of the IST calendar",
    "_days": "market days",
    "_hours": "hours",
}


def name_unit(column: str) -> str | None:
    """Say what a column is measured in, by the ending of its name.

    Parameters
    ----------
    column : str

    Returns
    -------
    str or None
        None if the name carries no unit.
    """
    return next((unit for ending, unit in _UNITS.items() if column.endswith(ending)), None)


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
        ColumnInfo(
            c.name, c.type.compile(dialect).lower(), c.primary_key, bool(c.nullable), name_unit(c.name)
        )
        for c in table.columns
    ]


def describe_mart(name: str) -> list[ColumnInfo]:
    """List the columns of a table that dbt makes, as the contract beside its model states them.

    Parameters
    ----------
    name : str
        Model of the marts, e.g. ``rules_6d``.

    Returns
    -------
    list of ColumnInfo
        In the contract's order; every column may be null but those that the contract says are not.

    Raises
    ------
    DataFault
        If there is no such model.
    """
    file = _MARTS / f"{name}.yml"
    if not file.is_file():
        raise DataFault(f"There is no mart {name}; marts are described in {_MARTS}.")
    with file.open("rb") as stream:
        # The same safe loader, compiled: the API reads half a dozen contracts when it starts.
        content: Any = yaml.load(stream, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    model = next(model for model in content["models"] if model["name"] == name)
    return [
        ColumnInfo(
            column["name"],
            column["data_type"],
            is_key=False,
            is_nullable={"type": "not_null"} not in column.get("constraints", []),
            unit=name_unit(column["name"]),
            description=column.get("description", ""),
        )
        for column in model["columns"]
    ]
