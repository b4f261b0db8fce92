"""One route per listing: filters, order, pages."""

from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from adapters.db.engine import begin
from adapters.db.repos.listings import FILTERABLE, SORTABLE, Listing
from adapters.db.repos.pages import (
    CURSOR_LENGTH_MAX,
    FILTERS_MAX,
    PAGE_ROWS_DEFAULT,
    PAGE_ROWS_MAX,
    make_query,
    read_page,
)
from propdesk.model.user import UserRole
from web.api.answers import answer
from web.api.parts import Parts
from web.api.schemas import filter_schema, page_schema, problems, sort_pattern

Protect: TypeAlias = Callable[[UserRole], dict[str, Any]]
"""Gives the arguments of a route that only people of a role may call."""


def tables_router(parts: Parts, listings: tuple[Listing, ...], protect: Protect) -> APIRouter:
    """Make a GET route for each listing.

    Parameters
    ----------
    parts : Parts
    listings : tuple of Listing
    protect : callable
        How a surface knows its people: the API by tokens, the dashboard by a cookie.
    """
    router = APIRouter(tags=["tables"])
    for listing in listings:
        _add_route(router, parts, listing, protect)
    return router


def _add_route(router: APIRouter, parts: Parts, listing: Listing, protect: Protect) -> None:
    sortable = ", ".join(column.name for column in listing.columns if column.kind in SORTABLE)
    example = next(column.name for column in listing.columns if column.kind in FILTERABLE)
    filters = Query(
        max_length=FILTERS_MAX,
        description=(
            "column=value, also with !=, <, <=, >, >=; the value null asks for absence; of a list, = asks "
            "whether it holds the value. May be given several times; all must hold."
        ),
        json_schema_extra=filter_schema(listing),
        examples=[[f"{example}!=null"]],
    )
    sort = Query(
        max_length=300,
        pattern=sort_pattern(listing),
        description=f"Columns by commas, - turns one round; rows without a value come last. Of: {sortable}.",
        examples=[listing.order],
    )

    def read(
        request: Request,
        filter: Annotated[list[str] | None, filters] = None,
        sort: Annotated[str | None, sort] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_ROWS_MAX, description="Rows.")] = PAGE_ROWS_DEFAULT,
        cursor: Annotated[
            str | None, Query(max_length=CURSOR_LENGTH_MAX, description="next_cursor of the page before.")
        ] = None,
    ) -> Response:
        query = make_query(listing, filters=filter or (), sort=sort, limit=limit, cursor=cursor)
        with begin(parts.reader) as connection:
            page = read_page(connection, query, parts.account_id)
        return answer(request, {"items": page.rows, "next_cursor": page.next_cursor, "newest": page.day})

    responses: dict[int | str, dict[str, Any]] = {
        200: {
            "description": f"One row per {listing.title}.",
            "content": {"application/json": {"schema": page_schema(listing)}},
        },
        304: {"description": "The client has just that (If-None-Match)."},
        **problems(401, 403, 422, 503),
    }
    router.add_api_route(
        f"/{listing.name}",
        read,
        methods=["GET"],
        name=f"list_{listing.name.replace('-', '_')}",
        summary=f"One row per {listing.title}",
        response_model=None,
        responses=responses,
        **protect(listing.role),
    )
