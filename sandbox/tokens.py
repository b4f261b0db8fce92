"""Tokens as Dhan makes them: JWTs with a life, from PIN and TOTP or by renewal."""

import base64
import hashlib
import hmac
import json
from typing import Any, Final

import pyotp

from propdesk.core.clock import NS_PER_SECOND, from_ns
from sandbox.knobs import Knobs

_TOTP_STEP_S: Final = 30


class Tokens:
    """Hands tokens out and tells the live ones.

    Parameters
    ----------
    knobs : Knobs
        Whose account, how long a token lives; the seed makes tokens the same in every run.
    """

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._live: dict[str, int] = {}
        self._number = 0

    def issue(self, now_ns: int) -> str:
        """Make a token."""
        self._number += 1
        now_s = now_ns // NS_PER_SECOND
        expiry_s = now_s + self._knobs.token_life_s
        claims = {
            "iss": "dhan",
            "dhanClientId": self._knobs.client_id,
            "iat": now_s,
            "exp": expiry_s,
            "jti": self._number,
        }
        head = f"{_part({'typ': 'JWT', 'alg': 'HS512'})}.{_part(claims)}"
        key = f"sandbox-{self._knobs.seed}".encode()
        signature = base64.urlsafe_b64encode(hmac.new(key, head.encode(), hashlib.sha512).digest())
        token = f"{head}.{signature.decode().rstrip('=')}"
        self._live[token] = expiry_s * NS_PER_SECOND
        return token

    def login(self, client_id: str, pin: str, code: str, now_ns: int) -> str | None:
        """Check PIN and code (one step of 30 s either way is let through); None = refused."""
        totp = pyotp.TOTP(self._knobs.totp_secret)
        near = (totp.at(from_ns(now_ns + step * _TOTP_STEP_S * NS_PER_SECOND)) for step in (-1, 0, 1))
        is_right = client_id == self._knobs.client_id and pin == self._knobs.pin and code in tuple(near)
        return self.issue(now_ns) if is_right else None

    def renew(self, token: str, now_ns: int) -> str | None:
        """Replace a live token, which dies by it; None = refused."""
        if not self._knobs.token_renewable or not self.is_live(token, now_ns):
            return None
        del self._live[token]
        return self.issue(now_ns)

    def is_live(self, token: str, now_ns: int) -> bool:
        """Whether calls with this token are served."""
        return self._live.get(token, 0) > now_ns

    def expiry_ns(self, token: str) -> int:
        """End of a token's life; 0 for an unknown one."""
        return self._live.get(token, 0)

    def revoke_all(self) -> None:
        """Let every token die at once."""
        self._live.clear()


def _part(claims: dict[str, Any]) -> str:
    plain = json.dumps(claims, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(plain).decode().rstrip("=")
