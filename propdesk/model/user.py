"""Who may use the surfaces, and what a role allows (§7.2)."""

import re
from enum import StrEnum
from typing import Final

from propdesk.core.errors import ConfigFault

LOGIN_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PASSWORD_LENGTH_MIN: Final = 12
"""Length is what counts against guessing; no rule about kinds of characters."""
PASSWORD_LENGTH_MAX: Final = 256
"""A longer one would only make the server work."""


class UserRole(StrEnum):
    """What a person may do; each role includes the ones before it."""

    VIEWER = "VIEWER"
    TRADER = "TRADER"
    ADMIN = "ADMIN"

    def includes(self, needed: "UserRole") -> bool:
        """Tell whether a person of this role may do what ``needed`` allows.

        Examples
        --------
        >>> UserRole.TRADER.includes(UserRole.VIEWER), UserRole.VIEWER.includes(UserRole.TRADER)
        (True, False)
        """
        ranks = list(UserRole)
        return ranks.index(self) >= ranks.index(needed)


def require_login(login: str) -> str:
    """Give the login back if it may name a user.

    Raises
    ------
    ConfigFault
        If it holds other than lower-case letters, digits, ``.``, ``_`` and ``-``, or is longer than 64.
    """
    if not re.fullmatch(LOGIN_PATTERN, login):
        raise ConfigFault(
            f"{login!r} cannot be a login: use up to 64 lower-case letters, digits, '.', '_' and '-', "
            "the first a letter or digit."
        )
    return login


def require_password(password: str) -> str:
    """Give the password back if it is long enough.

    Raises
    ------
    ConfigFault
        If it is shorter than 12 or longer than 256 characters; the sentence does not repeat it.
    """
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise ConfigFault(
            f"A password has {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters, "
            f"this one {len(password)}."
        )
    return password
