"""The application: routes, errors, limits, headers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from adapters.db.engine import POOL_OVERFLOW, POOL_SIZE, begin
from adapters.db.repos.listings import load_listings
from web.api import problems
from web.api.auth import auth_router
from web.api.commands import commands_router
from web.api.events import Bell, events_router
from web.api.guard import protected, refuse_unknown_parameters
from web.api.limits import Limits
from web.api.login import LOGINS_AT_ONCE
from web.api.parts import PREFIX, Parts
from web.api.problems import Problem, ProblemDocument
from web.api.schemas import problems as described
from web.api.tables import tables_router
from web.api.views import views_router

_DESCRIPTION: Final = (
    "Every table that a page needs, and commands to the trading daemon. "
    "Log in at /auth/login, send the access token as a bearer token, "
    "exchange the refresh token before it ends. Tables come in pages with filters and a stable order; send "
    "the ETag of an answer as If-None-Match to hear whether it changed. Money is in paise, moments are UTC, "
    "ratios are fractions (0.15); percent columns end in _pct. Every error is a problem document (RFC 9457)."
)


class State(BaseModel):
    """Whether the process serves."""

    status: str


def create_app(parts: Parts) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    parts : Parts
        Databases, tokens, clock.

    Returns
    -------
    FastAPI
        Its document is at ``/api/v1/openapi.json``; no pages, which would fetch scripts from elsewhere.
    """
    bell = Bell(parts.reader.url.render_as_string(hide_password=False))
    app = FastAPI(
        title="propdesk",
        version="1",
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=partial(life_of, bell),
        dependencies=[Depends(refuse_unknown_parameters)],
        separate_input_output_schemas=False,
    )
    problems.register(app)
    api = APIRouter(prefix=PREFIX)
    api.include_router(auth_router(parts))
    api.include_router(views_router(parts))
    api.include_router(commands_router(parts))
    api.include_router(events_router(parts, bell))
    api.include_router(tables_router(parts, load_listings(), partial(protected, parts)))
    app.include_router(api)
    app.include_router(state_router(parts))
    app.add_middleware(Limits)
    _describe_problems(app)
    return app


@asynccontextmanager
async def life_of(bell: Bell, _: FastAPI) -> AsyncIterator[None]:
    """Hear the bell while an application lives, with as many threads as connections.

    Some of the connections are for logins alone. Further requests wait in the loop, where they cost nothing.
    """
    threads = anyio.to_thread.current_default_thread_limiter()
    threads.total_tokens = POOL_SIZE + POOL_OVERFLOW - LOGINS_AT_ONCE
    async with bell.listening():
        yield


def state_router(parts: Parts) -> APIRouter:
    """Make the routes that tell a supervisor whether the process runs and serves."""
    router = APIRouter(tags=["state"])
    errors = described(422, 503)

    @router.get("/health", response_model=State, responses=described(422))
    async def health() -> dict[str, str]:
        """Tell that the process runs; looks at nothing else, and waits for no thread."""
        return {"status": "ok"}

    @router.get("/ready", response_model=State, responses=errors)
    def ready() -> dict[str, str]:
        """Tell that requests can be answered: both roles reach the database, and its tables are there."""
        with begin(parts.access) as connection:
            known = connection.execute("SELECT to_regclass('access.users') IS NOT NULL").fetchone()
        with begin(parts.reader) as connection:
            connection.execute("SELECT 1")
        if known != (True,):
            detail = "The database holds no tables of ours: run `propdesk db migrate`."
            raise Problem(503, "not-ready", detail, {"Retry-After": str(problems.RETRY_S)})
        return {"status": "ready"}

    return router


def _describe_problems(app: FastAPI) -> None:
    """Add the schema that every error refers to; FastAPI's own, which no route answers with, goes."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas[ProblemDocument.__name__] = ProblemDocument.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        return document

    app.openapi = openapi  # type: ignore[method-assign] # the way FastAPI documents
