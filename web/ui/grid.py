"""Tables of any length: the browser asks for the rows it shows, sorted and filtered by the server."""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from fastapi import APIRouter, Cookie, Query
from fastapi.responses import StreamingResponse
from nicegui import ui

from adapters.db.engine import begin
from adapters.db.repos.listings import FILTERABLE, SORTABLE, Kind, ListedColumn, Listing
from adapters.db.repos.pages import FILTERS_MAX, PAGE_ROWS_MAX, PageQuery, make_query, read_page
from propdesk.model.user import UserRole
from web.api.parts import Parts
from web.api.problems import Problem
from web.ui import downloads, formats
from web.ui.people import COOKIE, require_session
from web.ui.visit import Row, Visit
from web.ui.words import define, title_of

RULE_LINK: Final = "/rule?rule="
ADVISOR_LINK: Final = "/advisors/"
SIGNAL_LINK: Final = "/signals/"
"""Beginnings of addresses that a value, quoted, ends."""
CSV_PAGES_MAX: Final = 200
"""Pages of a file; with `PAGE_ROWS_MAX` rows each more than any table of a day has."""
_FILE_HINT: Final = (
    f"Every row that the filters leave, as a file; one of more than {CSV_PAGES_MAX * PAGE_ROWS_MAX:,} rows "
    "says in its last line that it was cut off"
)
_BLOCK: Final = 100
_BLOCKS_KEPT: Final = 20
_WIDE: Final = frozenset(
    {"message", "detail", "reason", "error", "answer", "expectation", "content", "payload"}
)
"""Columns of sentences: they take the room that is left."""
_DEFAULT: Final = {
    "resizable": True,
    "cellDataType": False,
    "minWidth": 70,
    "wrapHeaderText": True,
    "autoHeaderHeight": True,
}
_FILTERS: Final = {
    Kind.TEXT: ("agTextColumnFilter", ["equals", "notEqual", "blank", "notBlank"]),
    Kind.TEXTS: ("agTextColumnFilter", ["equals", "notEqual"]),
    Kind.BOOLEAN: ("agTextColumnFilter", ["equals"]),
    Kind.DAY: ("agDateColumnFilter", ["equals", "lessThan", "greaterThan", "inRange"]),
    Kind.MOMENT: ("agDateColumnFilter", ["lessThan", "greaterThan", "inRange"]),
}
_NUMBER_FILTER: Final = (
    "agNumberColumnFilter",
    [
        "equals",
        "greaterThanOrEqual",
        "lessThanOrEqual",
        "greaterThan",
        "lessThan",
        "inRange",
        "blank",
        "notBlank",
    ],
)


@dataclass(frozen=True, slots=True)
class GridSpec:
    """A listing as a page shows it.

    Parameters
    ----------
    listing : str
        Its name.
    columns : sequence of str
        Those shown first; the others come by “All columns”.
    links : mapping of str to str
        Column to the beginning of the address that its value ends.
    filters : sequence of str
        Conditions that always hold, as the API writes them.
    choices : mapping of str to sequence of str
        Columns with a drop-down above the grid, and what can be chosen.
    sort : str
        Column that sorts at first, ``-`` turns it round; the listing's own order by default.
    is_small : bool
        One table among others on its page.
    """

    listing: str
    columns: Sequence[str]
    links: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[str] = ()
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sort: str = ""
    is_small: bool = False


def grid(visit: Visit, spec: GridSpec) -> None:
    """Show a listing; what the address of the page filters by is chosen already."""
    listing = visit.house.listings[spec.listing]
    chosen = {name: visit.query[name] for name in spec.choices if visit.query.get(name)}
    key = json.dumps(listing.name)
    with ui.element("div").classes("tools"):
        for name, words in spec.choices.items():
            _choice(listing, chosen, name, words)
        everything = ui.switch("All columns")
        with ui.button("CSV").props("flat dense no-caps") as saved:
            ui.tooltip(_FILE_HINT)
        saved.on("click", js_handler=f"() => propdesk.save({key})")
        ui.label("Loading …").classes("grid-state hint").props(f'role="status" data-grid="{listing.name}"')
    fixed = json.dumps([listing.name, list(spec.filters), chosen])
    options = {
        "columnDefs": [_column(listing, c, spec) for c in _in_order(listing, spec.columns)],
        "defaultColDef": _DEFAULT,
        ":rowHeight": "propdesk.rowHeight()",
        "rowModelType": "infinite",
        "cacheBlockSize": _BLOCK,
        "maxBlocksInCache": _BLOCKS_KEPT,
        "maxConcurrentDatasourceRequests": 1,
        "enableBrowserTooltips": True,
        "tooltipShowDelay": 300,
        "overlayNoRowsTemplate": "No row fits.",
        ":datasource": f"propdesk.source(...{fixed})",
        ":onGridReady": f"event => propdesk.ready({key}, event)",
        ":onCellKeyDown": "propdesk.follow",
    }
    shown = ui.aggrid(options, auto_size_columns=False).classes(f"grid grid-of-{listing.name}")
    if spec.is_small:
        shown.classes("small")
    hidden = [c.name for c in listing.columns if c.name not in spec.columns]
    everything.on_value_change(
        lambda event: shown.run_grid_method("setColumnsVisible", hidden, bool(event.value))
    )


def local_grid(visit: Visit, spec: GridSpec, rows: Sequence[Row], *, curve: str) -> None:
    """Show rows that were read already, with a small curve of each.

    Parameters
    ----------
    visit : Visit
    spec : GridSpec
        Of the listing that the rows are of.
    rows : sequence of dict
    curve : str
        Member with the points of the curve.
    """
    listing = visit.house.listings[spec.listing]
    columns = [_column(listing, listing.column(name), spec) for name in spec.columns]
    drawn = {"field": curve, "headerName": "Curve", "width": 140, ":cellRenderer": "propdesk.spark"}
    options = {
        "columnDefs": [*columns[:2], drawn, *columns[2:]],
        "defaultColDef": _DEFAULT,
        "rowData": [{**row, "as_of_date": str(row["as_of_date"])} for row in rows],
        ":rowHeight": "propdesk.rowHeight()",
        "enableBrowserTooltips": True,
        ":onCellKeyDown": "propdesk.follow",
    }
    ui.aggrid(options, auto_size_columns=False).classes("grid")


def _choice(listing: Listing, chosen: dict[str, str], name: str, words: Sequence[str]) -> None:
    def change(value: str | None) -> None:
        chosen[name] = value or ""
        kept = {word: text for word, text in chosen.items() if text}
        ui.run_javascript(f"propdesk.choose({json.dumps(listing.name)}, {json.dumps(kept)})")

    meaning = define(name, listing)
    options = list(dict.fromkeys([*words, *filter(None, [chosen.get(name)])]))
    box = ui.select(
        options,
        label=meaning.title,
        value=chosen.get(name),
        clearable=True,
        on_change=lambda e: change(e.value),
    ).props("dense outlined options-dense")
    with box:
        ui.tooltip(meaning.text)


def _in_order(listing: Listing, first: Sequence[str]) -> list[ListedColumn]:
    rest = [column for column in listing.columns if column.name not in first]
    return [listing.column(name) for name in first] + rest


def _column(listing: Listing, column: ListedColumn, spec: GridSpec) -> dict[str, Any]:
    meaning = define(column.name, listing)
    kind = shape(column)
    is_number = column.kind in (Kind.INTEGER, Kind.NUMBER) and kind != "ns"
    made: dict[str, Any] = {
        "field": column.name,
        "headerName": meaning.title,
        "headerTooltip": meaning.text,
        "hide": column.name not in spec.columns,
        "sortable": column.kind in SORTABLE,
        "width": _width(column, kind),
        "context": {"meaning": meaning.text, "kind": kind},
        ":valueFormatter": f"propdesk.format[{json.dumps(kind)}]",
        ":tooltipValueGetter": "propdesk.explain",
    }
    if is_number:
        made["type"] = "rightAligned"
    if column.name in _WIDE:
        made |= {"flex": 1, "minWidth": made["width"]}
    if "pnl" in column.name:
        made["cellClassRules"] = {"gain": "x > 0", "loss": "x < 0"}
    if column.name in spec.links:
        made[":cellRenderer"] = f"propdesk.link({json.dumps(spec.links[column.name])})"
    if spec.sort.removeprefix("-") == column.name:
        made["initialSort"] = "desc" if spec.sort.startswith("-") else "asc"
    if column.kind in FILTERABLE and kind != "ns":
        made["filter"], allowed = _FILTERS.get(column.kind, _NUMBER_FILTER)
        made["filterParams"] = {"filterOptions": allowed, "maxNumConditions": 1, "buttons": ["reset"]}
    return made


def shape(column: ListedColumn) -> str:
    """Tell how a column's values are written; a key of ``propdesk.format`` in page.js."""
    if column.kind in (Kind.INTEGER, Kind.INTEGERS) and column.name.endswith("_paise"):
        return "paise"
    if column.kind is Kind.INTEGER and column.name.endswith("_ns"):
        return "ns"
    if column.kind is Kind.NUMBER and column.name.endswith("_pct"):
        return "percent"
    return column.kind.value.lower()


def _width(column: ListedColumn, kind: str) -> int:
    if column.name == "rule_text":
        return 500
    if column.name in _WIDE or column.name.endswith(("failed_gates", "_key")):
        return 320
    widths = {"moment": 225, "ns": 225, "paise": 150, "text": 150, "texts": 220, "document": 300}
    longest = max(map(len, title_of(column.name).split()))  # is not to be broken, beside its filter
    return widths.get(kind, max(115, 60 + 8 * longest))


# --- files --------------------------------------------------------------------------------------------------


def files_router(parts: Parts, listings: Sequence[Listing], protect: Callable[[UserRole], Any]) -> APIRouter:
    """Make a route per listing that gives every row that the filters leave as CSV."""
    router = APIRouter(include_in_schema=False)
    for listing in listings:
        _add_file(router, parts, listing, protect)
    return router


def _add_file(router: APIRouter, parts: Parts, listing: Listing, protect: Callable[[UserRole], Any]) -> None:
    def save(
        filter: Annotated[list[str] | None, Query(max_length=FILTERS_MAX)] = None,
        sort: str | None = None,
        token: Annotated[str | None, Cookie(alias=COOKIE)] = None,
    ) -> StreamingResponse:
        first = make_query(listing, filters=filter or (), sort=sort, limit=PAGE_ROWS_MAX)
        headers = {
            "Content-Disposition": f'attachment; filename="{listing.name}.csv"',
            "Cache-Control": "no-store",
        }
        text = file_text(parts, token, first, filter or (), sort)
        return StreamingResponse(text, headers=headers, media_type="text/csv; charset=utf-8")

    router.add_api_route(
        f"/{listing.name}", save, name=f"save_{listing.name}", response_model=None, **protect(listing.role)
    )


async def file_text(
    parts: Parts, token: str | None, first: PageQuery, filters: Sequence[str], sort: str | None
) -> AsyncIterator[str]:
    """Give a file page by page; one that does not hold every row says so in its last line."""
    listing, query = first.listing, first
    yield downloads.line(column.name for column in listing.columns)
    for _ in range(CSV_PAGES_MAX):
        try:
            text, cursor = await run_sync(_page_text, parts, token, query)
        except Problem as problem:
            yield downloads.line([f"cut off: {problem.detail}"])
            return
        yield text
        if cursor is None:
            return
        query = make_query(listing, filters=filters, sort=sort, limit=PAGE_ROWS_MAX, cursor=cursor)
    rows = formats.count(CSV_PAGES_MAX * PAGE_ROWS_MAX)
    yield downloads.line([f"cut off: a file holds {rows} rows at most; filter for fewer"])


def _page_text(parts: Parts, token: str | None, query: PageQuery) -> tuple[str, str | None]:
    """Read and write a page in one turn of a thread, for whom is still let in."""
    require_session(parts, token, query.listing.role)
    with begin(parts.reader) as connection:
        page = read_page(connection, query, parts.account_id)
    return "".join(downloads.line(row.values()) for row in page.rows), page.next_cursor
