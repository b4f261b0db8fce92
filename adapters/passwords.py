"""Passwords: argon2id by argon2-cffi, a few at a time, and none that can be told apart by its time."""

import secrets
from threading import BoundedSemaphore
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

_AT_ONCE: Final = 2
"""One hash takes 64 MiB and some 50 ms of four threads: a burst of logins must not take the machine."""
_GENERATED_BYTES: Final = 12
_NOBODYS: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$R8fU1ye8EJU9GCxEGiX/Vg$RHAJPHeigi66lsGeUzoHNdauOv5iNdf5zmxgh6QFg2g"
)
"""Hash of a random word that nobody kept, under the default parameters."""


class Passwords:
    """Hash and check passwords.

    Parameters
    ----------
    hasher : PasswordHasher, optional
        The low-memory profile of RFC 9106 (64 MiB, three passes) by default; tests take a cheap one.
    """

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._turns = BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """Give the encoded hash with its salt and parameters."""
        with self._turns:
            return self._hasher.hash(password)

    def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether a password is the stored one.

        Parameters
        ----------
        stored : str or None
            Encoded hash; None = there is no such user: as much work is done, and the answer is no.
        password : str
        """
        with self._turns:
            try:
                return self._hasher.verify(stored or _NOBODYS, password) and stored is not None
            except (VerificationError, InvalidHashError):
                return False

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)


def make_password() -> str:
    """Make a password of 96 random bits that a person can copy."""
    return secrets.token_urlsafe(_GENERATED_BYTES)
