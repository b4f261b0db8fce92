"""JSON schemas of what the routes answer, made from the listings: they cannot drift from the tables."""

from typing import Any, Final

from adapters.db.repos.listings import FILTERABLE, SORTABLE, Kind, ListedColumn, Listing
from adapters.db.repos.pages import FILTERS_MAX, PAGE_ROWS_MAX, SORTS_MAX
from web.api.answers import INFINITE
from web.api.problems import MEDIA_TYPE, ProblemDocument

_SIMPLE: Final[dict[Kind, dict[str, Any]]] = {
    Kind.TEXT: {"type": "string"},
    Kind.INTEGER: {"type": "integer", "format": "int64"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DAY: {"type": "string", "format": "date"},
    Kind.MOMENT: {"type": "string", "format": "date-time"},
    Kind.TEXTS: {"type": "array", "items": {"type": "string"}},
    Kind.INTEGERS: {"type": "array", "items": {"type": "integer", "format": "int64"}},
    Kind.DAYS: {"type": "array", "items": {"type": "string", "format": "date"}},
    Kind.DOCUMENT: {},
}
_EXAMPLES: Final[dict[Kind, Any]] = {
    Kind.TEXT: "NSE_EQ",
    Kind.INTEGER: 42,
    Kind.NUMBER: 0.15,
    Kind.BOOLEAN: True,
    Kind.DAY: "2025-06-30",
    Kind.MOMENT: "2025-06-30T10:00:00+00:00",
    Kind.TEXTS: ["sharpe"],
    Kind.INTEGERS: [238500, 239000],
    Kind.DAYS: ["2025-06-30"],
    Kind.DOCUMENT: {"any": "JSON"},
}


def page_schema(listing: Listing) -> dict[str, Any]:
    """Describe a page of a listing."""
    row = {
        "type": "object",
        "required": [column.name for column in listing.columns],
        "properties": {column.name: _column_schema(column) for column in listing.columns},
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "required": ["items", "next_cursor", "newest"],
        "properties": {
            "items": {"type": "array", "items": row, "maxItems": PAGE_ROWS_MAX},
            "next_cursor": {"type": ["string", "null"], "description": "Of the next page; null on the last."},
            "newest": {
                "type": ["string", "null"],
                "format": "date",
                "description": "The day listed, where only the newest one is.",
            },
        },
        "additionalProperties": False,
        "example": {
            "items": [{column.name: _EXAMPLES[column.kind] for column in listing.columns}],
            "next_cursor": None,
            "newest": "2025-06-30" if listing.newest_of else None,
        },
    }


def sort_pattern(listing: Listing) -> str:
    """Give the pattern of what a listing may be sorted by."""
    names = "|".join(column.name for column in listing.columns if column.kind in SORTABLE)
    return f"^-?({names})(,-?({names})){{0,{SORTS_MAX - 1}}}$"


def filter_schema(listing: Listing) -> dict[str, Any]:
    """Describe the parameter ``filter`` of a listing."""
    names = "|".join(column.name for column in listing.columns if column.kind in FILTERABLE)
    return {
        "type": "array",
        "maxItems": FILTERS_MAX,
        "items": {"type": "string", "pattern": f"^({names})(=|!=|<|<=|>|>=)[^\\x00]{{0,200}}$"},
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the errors of a route."""
    sentences = {
        401: "Nobody is logged in, or no longer.",
        403: "The role does not allow it.",
        404: "There is no such thing.",
        413: "The body is too large.",
        422: "The request cannot be used as it is.",
        429: "Too many attempts; Retry-After says when to try again.",
        503: "The database does not answer now; Retry-After says when to ask again.",
    }
    reference = {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}
    return {
        status: {"description": sentences[status], "content": {MEDIA_TYPE: {"schema": reference}}}
        for status in statuses
    }


def _column_schema(column: ListedColumn) -> dict[str, Any]:
    if column.kind is Kind.NUMBER:
        # NaN is undefined and becomes null, whatever the table says of nulls.
        return {
            "anyOf": [
                {"type": "number"},
                {"type": "string", "enum": [INFINITE, f"-{INFINITE}"]},
                {"type": "null"},
            ],
            **_described(column),
        }
    schema = dict(_SIMPLE[column.kind])
    if column.is_nullable and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    return {**schema, **_described(column)}


def _described(column: ListedColumn) -> dict[str, Any]:
    return {"description": column.description} if column.description else {}
