"""Who calls, and whether that person may."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from adapters.db.engine import begin
from adapters.db.repos.users import Session, read_session
from propdesk.model.user import UserRole
from web.api.parts import Parts
from web.api.problems import Problem
from web.api.tokens import BadToken

BEARER: Final = HTTPBearer(auto_error=False, bearerFormat="JWT", description="Access token of /auth/login.")
ROLE_MARK: Final = "x-role"
"""Member of an operation in the OpenAPI document: the least role that may call it."""

Guard = Callable[..., Session]


def guard(parts: Parts, needed: UserRole) -> Guard:
    """Make the dependency that lets only people of a role through.

    Parameters
    ----------
    parts : Parts
    needed : UserRole
        The least role.

    Returns
    -------
    callable
        Gives the session. Whether it is good, and its user's role, are read with each call: who is shut out
        is out at once.
    """

    def caller(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]) -> Session:
        if credentials is None:
            raise _unauthenticated("Log in at /api/v1/auth/login and send its access token.", "")
        try:
            session_id = parts.tokens.read_access(credentials.credentials)
        except BadToken:
            raise _unauthenticated("The access token is not good (any more): refresh it.") from None
        with begin(parts.access) as connection:
            session = read_session(connection, session_id, parts.now())
        if session is None:
            raise _unauthenticated("The session has ended: log in again.")
        require_role(session, needed)
        return session

    return caller


def require_role(session: Session, needed: UserRole) -> None:
    """Raise `Problem` (403) if the user's role does not include the needed one."""
    if not session.role.includes(needed):
        raise Problem(403, "forbidden", f"This needs the role {needed}; yours is {session.role}.")


def protected(parts: Parts, needed: UserRole) -> dict[str, Any]:
    """Give the arguments of a route that only people of a role may call."""
    return {
        "dependencies": [Depends(guard(parts, needed))],
        "openapi_extra": {ROLE_MARK: needed.value},
    }


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query that the route does not know: a misspelt filter must not answer with everything.

    In the loop: as a plain function it would take a turn of the threads, which every route would wait for.
    """
    route = request.scope.get("route")
    dependant = getattr(route, "dependant", None)
    known = {field.alias for field in dependant.query_params} if dependant else set()
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise Problem(
            422, "bad-query", f"There is no parameter {unknown[0][:64]!r} here; those known: {names}."
        )


def _unauthenticated(detail: str, error: str = ' error="invalid_token"') -> Problem:
    return Problem(401, "unauthenticated", detail, {"WWW-Authenticate": f"Bearer{error}"})
