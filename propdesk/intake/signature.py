"""Whether a request was sent by the source that it names, and just now (§5.9)."""

import hmac
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Final

from propdesk.core.clock import NS_PER_SECOND

WINDOW_NS: Final = 120 * NS_PER_SECOND
"""How far the moment that a request states may lie from the clock, to either side."""
_SECONDS_DIGITS_MAX: Final = 12
_NOBODYS_KEY: Final = "\0"
"""Compared with where a source has no key, so that a wrong name takes as long as a wrong signature."""


class SignatureFault(StrEnum):
    """Why a request is not believed."""

    NOT_GENUINE = "NOT_GENUINE"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"


def sign(key: str, sent_s: str, body: bytes) -> str:
    """Sign a request.

    Parameters
    ----------
    key : str
        The source's.
    sent_s : str
        The moment that the request states, whole seconds since 1970 UTC, as its header has it.
    body : bytes
        As it goes over the wire.

    Returns
    -------
    str
        HMAC-SHA256 over ``sent_s``, a full stop and the body, hexadecimal.

    Examples
    --------
    >>> sign("k" * 32, "1751340000", b"{}")[:16]
    'c316c873310b4ee4'
    """
    return hmac.new(key.encode(), f"{sent_s}.".encode() + body, sha256).hexdigest()


def signature_fault(
    keys: Sequence[str], sent_s: str, signature: str, body: bytes, now_ns: int
) -> SignatureFault | None:
    """Judge a request; None where it is genuine and of now.

    Parameters
    ----------
    keys : sequence of str
        Every key of the source that it names; empty where there is no such source.
    sent_s, signature : str
        What the request states.
    body : bytes
    now_ns : int
        ns UTC.

    Notes
    -----
    Every key is compared with, each in constant time, whether one before it fits or not. The moment is
    judged last: only who knows a key hears about clocks.
    """
    stated = signature.encode("utf-8", "replace")
    fits = [hmac.compare_digest(sign(key, sent_s, body).encode(), stated) for key in keys or [_NOBODYS_KEY]]
    is_moment = sent_s.isascii() and sent_s.isdigit() and len(sent_s) <= _SECONDS_DIGITS_MAX
    if not keys or not any(fits) or not is_moment:
        return SignatureFault.NOT_GENUINE
    if abs(int(sent_s) * NS_PER_SECOND - now_ns) > WINDOW_NS:
        return SignatureFault.OUTSIDE_WINDOW
    return None
