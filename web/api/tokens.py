"""Access and refresh tokens: JWT by PyJWT, HS256, every claim that counts required."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import jwt

from adapters.db.repos.users import Session
from propdesk.core.clock import NS_PER_SECOND, Clock, to_ns

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "propdesk"
_CLAIMS: Final = ("iss", "sub", "sid", "typ", "iat", "exp")
Use = Literal["access", "refresh", "page"]


class BadToken(Exception):
    """A token is none of ours, is worn out, or serves another use."""


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a refresh token says."""

    session_id: str
    generation: int
    login: str


class Tokens:
    """Write and read tokens.

    Parameters
    ----------
    key : str
        Secret of the signature.
    clock : Clock
        Tells when they end; not the library's own look at the system's time.
    access_s : int
        How long an access token serves, s.
    """

    def __init__(self, key: str, clock: Clock, access_s: int) -> None:
        self._key = key
        self._clock = clock
        self.access_s = access_s

    def access(self, session: Session) -> str:
        """Write an access token of a session."""
        return self._write("access", session, self._now() + self.access_s)

    def refresh(self, session: Session) -> str:
        """Write the refresh token of the session's present generation."""
        end = to_ns(session.expires_at) // NS_PER_SECOND
        return self._write("refresh", session, end, gen=session.generation)

    def page(self, session: Session) -> str:
        """Write what a browser keeps of a session: the bare id can be read in the audit log."""
        return self._write("page", session, to_ns(session.expires_at) // NS_PER_SECOND)

    def read_page(self, text: str) -> str:
        """Give the id of the session that a browser kept; raises `BadToken` if it is not good now."""
        return str(self._read("page", text)["sid"])

    def read_access(self, text: str) -> str:
        """Give the id of the session that an access token belongs to.

        Raises
        ------
        BadToken
            If it is not good now.
        """
        return str(self._read("access", text)["sid"])

    def read_refresh(self, text: str) -> RefreshClaims:
        """Read a refresh token; raises `BadToken` if it is not good now."""
        claims = self._read("refresh", text)
        generation = claims.get("gen")
        if not isinstance(generation, int):
            raise BadToken
        return RefreshClaims(str(claims["sid"]), generation, str(claims["sub"]))

    def _now(self) -> int:
        return self._clock.now_ns() // NS_PER_SECOND

    def _write(self, use: Use, session: Session, end: int, **more: int) -> str:
        claims = {
            "iss": _ISSUER,
            "sub": session.login,
            "sid": session.session_id,
            "typ": use,
            "iat": self._now(),
            "exp": end,
            **more,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def _read(self, use: Use, text: str) -> dict[str, Any]:
        options: Any = {"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False}
        try:
            claims: dict[str, Any] = jwt.decode(
                text, self._key, algorithms=[_ALGORITHM], issuer=_ISSUER, options=options
            )
        except (jwt.PyJWTError, ValueError):
            raise BadToken from None
        end = claims["exp"]
        if claims["typ"] != use or not isinstance(end, int) or end <= self._now():
            raise BadToken
        return claims
