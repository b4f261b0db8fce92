"""Who looks at the pages: a cookie that names a session of the API's users."""

from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import Cookie, Depends, Request
from fastapi.responses import Response

from adapters.db.engine import begin
from adapters.db.repos.users import Session, end_session, read_session
from propdesk.model.user import UserRole
from web.api.guard import require_role
from web.api.parts import Parts
from web.api.problems import Problem
from web.api.tokens import BadToken

COOKIE: Final = "propdesk_session"
_TOKEN_LENGTH_MAX: Final = 4_096


def session_of(parts: Parts, token: str | None) -> Session | None:
    """Find the session that a cookie names; None if it is none of ours or has ended."""
    if token is None or len(token) > _TOKEN_LENGTH_MAX:
        return None
    try:
        session_id = parts.tokens.read_page(token)
    except BadToken:
        return None
    with begin(parts.access) as connection:
        return read_session(connection, session_id, parts.now())


def keep(parts: Parts, response: Response, session: Session, *, is_secure: bool) -> None:
    """Hand a browser its session; no script can read it, no other site can have it sent."""
    response.set_cookie(
        COOKIE,
        parts.tokens.page(session),
        expires=session.expires_at,
        path="/",
        httponly=True,
        samesite="strict",
        secure=is_secure,
    )


def leave(parts: Parts, token: str | None) -> None:
    """End the session that a cookie names, if it is one."""
    session = session_of(parts, token)
    if session is not None:
        with begin(parts.access) as connection:
            end_session(connection, session.session_id, parts.actor(session.login))


def require_session(parts: Parts, token: str | None, needed: UserRole) -> None:
    """Refuse who is not logged in, or has not the role."""
    session = session_of(parts, token)
    if session is None:
        raise Problem(401, "unauthenticated", "The session has ended: log in again.")
    require_role(session, needed)


def protected_by_cookie(parts: Parts, needed: UserRole) -> dict[str, Any]:
    """Give the arguments of a route that only people of a role may call from a page."""

    def caller(token: Annotated[str | None, Cookie(alias=COOKIE)] = None) -> None:
        require_session(parts, token, needed)

    return {"dependencies": [Depends(caller)]}


def is_own_form(request: Request) -> bool:
    """Tell whether a form was sent by a page of ours: another site could log its own user in here."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    # By name and port alone: before a proxy with TLS our own scheme is another one.
    return urlsplit(origin).netloc == request.headers.get("host", "")


def is_behind_tls(request: Request) -> bool:
    """Tell whether the browser came by TLS, as far as anybody says so.

    A proxy need not be trusted for that: whoever writes the header himself only has his own cookie kept
    closer.
    """
    proto = request.headers.get("x-forwarded-proto", "")
    origin = request.headers.get("origin", "")
    return request.url.scheme == "https" or proto.strip().lower() == "https" or origin.startswith("https://")


class AtTheDoor(Exception):
    """Somebody without a session asks for a page."""


def admitted(parts: Parts) -> Callable[..., Session]:
    """Make the dependency that finds out who asks before anything of a page is made.

    A page that is built lives for a minute, looked at or not, so strangers get none.
    """

    def session(token: Annotated[str | None, Cookie(alias=COOKIE)] = None) -> Session:
        found = session_of(parts, token)
        if found is None:
            raise AtTheDoor
        return found

    return session
