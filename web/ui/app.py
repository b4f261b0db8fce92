"""The application: door, data for the grids, files, pages, and the headers of them all."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from nicegui import APIRouter, ui
from nicegui import app as nicegui
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.db.engine import DatabaseUnreachable
from adapters.settings import Settings
from web.api import problems
from web.api.app import life_of, state_router
from web.api.events import Bell
from web.api.limits import Limits
from web.api.parts import Parts
from web.api.tables import tables_router
from web.ui.frame import add_page
from web.ui.grid import files_router
from web.ui.login import login_address, login_router, notice
from web.ui.pages import PAGES
from web.ui.people import AtTheDoor, protected_by_cookie
from web.ui.visit import House
from web.ui.words import listings

DATA: Final = "/data"
FILES: Final = "/csv"
_STATIC: Final = Path(__file__).parent / "static"
_AWAY: Final = (503, "The database does not answer now: load the page again in a moment.")
_FAULTS: Final = {
    DatabaseUnreachable: _AWAY,
    psycopg.OperationalError: _AWAY,
    Exception: (500, "Something broke here; the log of the dashboard says what."),
}
_NOWHERE: Final = HTMLResponse(
    notice("There is nothing at this address."), 404, {"Cache-Control": "no-store"}
)
_HEADERS: Final = {
    # NiceGUI starts its pages with inline scripts and compiles its templates in the browser.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
        "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
}


def create_app(parts: Parts, settings: Settings, dagster_url: str | None) -> FastAPI:
    """Make the application; once in a process, whose one NiceGUI it takes.

    Parameters
    ----------
    parts : Parts
        Databases, tokens, clock; the API's own.
    settings : Settings
        Those of the pipeline, which pages describe.
    dagster_url : str or None
        Where a browser finds Dagster's pages.
    """
    bell = Bell(parts.reader.url.render_as_string(hide_password=False), "propdesk-ui-events")
    house = House(parts, listings(), bell, settings, dagster_url)
    life = partial(life_of, bell)
    app = FastAPI(title="propdesk", openapi_url=None, docs_url=None, redoc_url=None, lifespan=life)
    problems.register(app)
    _say_to_people(app)
    app.include_router(login_router(parts))
    tables, protect = tuple(house.listings.values()), partial(protected_by_cookie, parts)
    app.include_router(tables_router(parts, tables, protect), prefix=DATA)
    app.include_router(files_router(parts, tables, protect), prefix=FILES)
    app.include_router(state_router(parts))
    app.mount("/static", StaticFiles(directory=_STATIC))

    @app.exception_handler(AtTheDoor)
    def on_stranger(request: Request, _: AtTheDoor) -> Response:
        return RedirectResponse(login_address(request.url.path, request.url.query), 303)

    pages = APIRouter()
    for spec in PAGES:
        add_page(pages, house, spec, PAGES)
    app.include_router(pages)
    app.add_middleware(_KnownPlaces, known=tuple(app.routes))
    app.add_middleware(Limits)
    app.add_middleware(_Headers)
    ui.run_with(app, title="propdesk", tailwind=False, show_welcome_message=False, language="en-GB")
    return app


def _say_to_people(app: FastAPI) -> None:
    """Answer a browser that opens a page with a sentence, where a grid is told the same as a problem."""
    for kind, (status, sentence) in _FAULTS.items():
        app.add_exception_handler(kind, _for_people(app.exception_handlers[kind], status, sentence))


def _for_people(
    tell: Callable[..., Any], status: int, sentence: str
) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        problem: Response = tell(request, error)  # which writes the log too
        if "text/html" not in request.headers.get("accept", ""):
            return problem
        return HTMLResponse(notice(sentence), status, {"Cache-Control": "no-store"})

    return answer


class _KnownPlaces:
    """Say of an unknown address that it is none; NiceGUI would build a page that lives for a minute."""

    def __init__(self, app: ASGIApp, known: Sequence[BaseRoute]) -> None:
        self._app, self._known = app, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_known = scope["type"] != "http" or any(
            route.matches(scope)[0] is not Match.NONE for route in (*self._known, *nicegui.routes)
        )
        if is_known:
            await self._app(scope, receive, send)
        else:
            await _NOWHERE(scope, receive, send)


class _Headers:
    """Forbid other sites to frame a page, and pages to ask anything of other machines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                problems.forbid_guessing(headers)
                headers.update(_HEADERS)
            await send(message)

        await self._app(scope, receive, dressed if scope["type"] == "http" else send)
