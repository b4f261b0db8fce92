"""Shared metadata and column types of every table that Alembic owns."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

SCHEMAS = ("raw", "ref", "research", "trading", "audit", "access")
"""Schemas that Alembic owns; dbt owns staging, intermediate and marts."""


def text(name: str, *, null: bool = False, pk: bool = False) -> Column[str]:
    """Text column."""
    return Column(name, Text, nullable=null, primary_key=pk)


def whole(name: str, *, null: bool = False, pk: bool = False) -> Column[int]:
    """Small whole number."""
    return Column(name, Integer, nullable=null, primary_key=pk)


def paise(name: str, *, null: bool = False) -> Column[int]:
    """Money, BIGINT paise; the name ends in ``_paise``."""
    return Column(name, BigInteger, nullable=null)


def big(name: str, *, null: bool = False, pk: bool = False) -> Column[int]:
    """Large whole number (quantity, ns, sequence)."""
    return Column(name, BigInteger, nullable=null, primary_key=pk, autoincrement=False)


def ratio(name: str, *, null: bool = True) -> Column[float]:
    """Ratio or R-multiple, double precision; NULL = undefined."""
    return Column(name, Double, nullable=null)


def flag(name: str, *, null: bool = False) -> Column[bool]:
    """Boolean."""
    return Column(name, Boolean, nullable=null)


def day(name: str, *, null: bool = False, pk: bool = False) -> Column[object]:
    """IST calendar day."""
    return Column(name, Date, nullable=null, primary_key=pk)


def moment(name: str, *, null: bool = False) -> Column[object]:
    """Point in time, timestamptz; the name ends in ``_at``."""
    return Column(name, DateTime(timezone=True), nullable=null)


def binary(name: str, *, null: bool = False) -> Column[bytes]:
    """Bytes, e.g. a digest."""
    return Column(name, LargeBinary, nullable=null)


def document(name: str, *, null: bool = False) -> Column[object]:
    """JSON document."""
    return Column(name, JSONB, nullable=null)


def document_as_sent(name: str) -> Column[object]:
    """JSON document that is kept as the text it came as."""
    return Column(name, JSON, nullable=False)


def paise_list(name: str, *, null: bool = False) -> Column[object]:
    """List of prices, BIGINT[]."""
    return Column(name, ARRAY(BigInteger), nullable=null)


def day_list(name: str, *, null: bool = False) -> Column[object]:
    """Several days."""
    return Column(name, ARRAY(Date), nullable=null)


def text_list(name: str, *, null: bool = False) -> Column[object]:
    """List of texts, TEXT[]."""
    return Column(name, ARRAY(Text), nullable=null)
