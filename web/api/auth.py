"""Log in, refresh, log out."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from adapters.db.engine import begin
from adapters.db.repos.users import Session, end_session, rotate_session
from propdesk.model.user import LOGIN_PATTERN, PASSWORD_LENGTH_MAX, UserRole
from web.api.answers import answer
from web.api.guard import ROLE_MARK, guard
from web.api.login import address, count, log_in
from web.api.parts import Parts
from web.api.problems import Problem
from web.api.schemas import problems
from web.api.tokens import BadToken

_TOKEN_LENGTH_MAX: Final = 4_096


class Credentials(BaseModel):
    """Who wants in."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"login": "asha", "password": "correct horse battery"}}
    )

    login: str = Field(pattern=LOGIN_PATTERN)
    password: str = Field(min_length=1, max_length=PASSWORD_LENGTH_MAX)


class RefreshRequest(BaseModel):
    """A refresh token, which serves once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"refresh_token": "eyJhbGciOi…"}})

    refresh_token: str = Field(min_length=1, max_length=_TOKEN_LENGTH_MAX)


class TokenPair(BaseModel):
    """Tokens of a session."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "access_token": "eyJhbGciOi…",
                "token_type": "Bearer",
                "expires_in": 600,
                "refresh_token": "eyJhbGciOi…",
                "session_ends_at": "2025-07-01T16:00:00+00:00",
                "role": "TRADER",
            }
        }
    )

    access_token: str = Field(description="Goes with each request: Authorization: Bearer …")
    token_type: str
    expires_in: int = Field(description="For this long the access token serves, s.")
    refresh_token: str = Field(description="Serves once; a second use ends the session for both users of it.")
    session_ends_at: datetime = Field(description="After this one logs in anew, however active.")
    role: UserRole


class Me(BaseModel):
    """Who is logged in."""

    login: str
    role: UserRole
    session_ends_at: datetime


def auth_router(parts: Parts) -> APIRouter:
    """Make the routes of a session."""
    router = APIRouter(prefix="/auth", tags=["session"])

    @router.post("/login", response_model=TokenPair, responses=problems(401, 413, 422, 429, 503))
    async def login(request: Request, given: Credentials) -> Response:
        """Open a session.

        Five wrong passwords in a row lock a login for a quarter of an hour (429), whether it exists or not.
        """
        session = await log_in(parts, given.login, given.password, address(request))
        return _tokens(parts, session)

    @router.post("/refresh", response_model=TokenPair, responses=problems(401, 413, 422, 429, 503))
    def refresh(request: Request, given: RefreshRequest) -> Response:
        """Exchange a refresh token for new tokens; one that was used before ends its session."""
        refused = Problem(401, "unauthenticated", "The refresh token is not good (any more): log in again.")
        try:
            claims = parts.tokens.read_refresh(given.refresh_token)
        except BadToken:
            count(parts, "bad-token", address(request))
            raise refused from None
        count(parts, "session", claims.session_id)
        # Committed before it is refused: the end of a stolen family must not be rolled back.
        with begin(parts.access) as connection:
            session = rotate_session(
                connection, claims.session_id, claims.generation, parts.actor(claims.login)
            )
        if session is None:
            raise refused
        return _tokens(parts, session)

    viewer = Annotated[Session, Depends(guard(parts, UserRole.VIEWER))]
    mark: dict[str, Any] = {ROLE_MARK: UserRole.VIEWER.value}

    @router.post("/logout", status_code=204, responses=problems(401, 422, 503), openapi_extra=mark)
    def logout(session: viewer) -> Response:
        """End the session; its tokens are worth nothing from now on."""
        with begin(parts.access) as connection:
            end_session(connection, session.session_id, parts.actor(session.login))
        return Response(status_code=204)

    @router.get("/me", response_model=Me, responses=problems(401, 422, 503), openapi_extra=mark)
    def me(request: Request, session: viewer) -> Response:
        """Tell who is logged in."""
        who = {"login": session.login, "role": session.role.value, "session_ends_at": session.expires_at}
        return answer(request, who)

    return router


def _tokens(parts: Parts, session: Session) -> Response:
    pair = TokenPair(
        access_token=parts.tokens.access(session),
        token_type="Bearer",  # noqa: S106 - a word of RFC 6750
        expires_in=parts.tokens.access_s,
        refresh_token=parts.tokens.refresh(session),
        session_ends_at=session.expires_at,
        role=session.role,
    )
    return Response(
        pair.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json"
    )
