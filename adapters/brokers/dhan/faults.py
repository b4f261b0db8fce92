"""Dhan's error bodies → our exceptions: a closed list proves that nothing was accepted, the rest is unknown.

::

    never connected                                      Retryable
    HTTP 429 with a Dhan error body                      Retryable
    HTTP 401, or DH-901 / 807-810, with such a body      AuthExpired (the token is dead, nothing was done)
    HTTP 400 or 403 with such a body                     Refusal (a `Rejected` with its kind)
    anything else after a write left                     OutcomeUnknown
    anything else after a read left                      Retryable (a read has no effect)

DH-908 and DH-909 say that the broker's own back end failed: even with HTTP 400 they prove nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from propdesk.core.errors import (
    AccessRefused,
    AuthExpired,
    BrokerFault,
    OutcomeUnknown,
    Rejected,
    Retryable,
)

_AUTH_CODES: Final = frozenset({"DH-901", "807", "808", "809", "810"})
_RATE_CODES: Final = frozenset({"DH-904", "805"})
_BACKEND_CODES: Final = frozenset({"DH-908", "DH-909", "800"})
_PROOF_STATUSES: Final = frozenset({400, 401, 403, 429})
_FAILED_WORDS: Final = frozenset({"failed", "failure", "error"})
_TEXT_MAX: Final = 300


class RefusalKind(StrEnum):
    """Why the broker refused; decides who must act (§5.7)."""

    IP = "IP"
    MARGIN = "MARGIN"
    FREEZE = "FREEZE"
    BAND = "BAND"
    MODIFICATIONS = "MODIFICATIONS"
    KILL_SWITCH = "KILL_SWITCH"
    RMS = "RMS"
    ACCOUNT = "ACCOUNT"
    INPUT = "INPUT"
    ORDER = "ORDER"
    DATA = "DATA"
    OTHER = "OTHER"


class Refusal(Rejected):
    """The broker refused the request, and said why.

    Attributes
    ----------
    kind : RefusalKind
    code : str
        Dhan's own code, ``DH-9xx``; empty where the refusal came with an order status.
    """

    def __init__(self, text: str, kind: RefusalKind, code: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code


class AccessRefusal(Refusal, AccessRefused):
    """A refusal that every other order would meet, too."""


_ACCESS_KINDS: Final = frozenset({RefusalKind.IP, RefusalKind.KILL_SWITCH})


def refusal(text: str, code: str, reason: str) -> Refusal:
    """Build the refusal that a code and its words stand for; its text begins with the kind."""
    kind = refusal_kind(code, reason)
    fault = AccessRefusal if kind in _ACCESS_KINDS else Refusal
    return fault(f"{kind.value}: {text}", kind, code)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error as Dhan words it; ``code`` is text also where the wire has a number."""

    code: str
    message: str


_WORDS: Final = tuple(
    (kind, re.compile(rf"\b(?:{words})"))
    for kind, words in (
        (RefusalKind.IP, r"invalid ip\b|static ip\b|ip not\b|whitelist"),
        (RefusalKind.KILL_SWITCH, r"kill switch|killswitch"),
        (RefusalKind.MODIFICATIONS, "modification"),
        (RefusalKind.FREEZE, "freeze"),
        (RefusalKind.BAND, "circuit|price band|price range|dpr|execution range"),
        (RefusalKind.MARGIN, "margin|insufficient|fund"),
        (RefusalKind.RMS, "rms"),
    )
)
"""Words that begin at a word: a script that is not found says nothing of an address."""

_CODES: Final = {
    "DH-902": RefusalKind.ACCOUNT,
    "DH-903": RefusalKind.ACCOUNT,
    "DH-905": RefusalKind.INPUT,
    "DH-906": RefusalKind.ORDER,
    "DH-907": RefusalKind.DATA,
    "DH-911": RefusalKind.IP,
    "806": RefusalKind.ACCOUNT,
}


def refusal_kind(code: str, message: str) -> RefusalKind:
    """Classify a refusal: by its words first, since DH-905 and DH-906 cover nearly everything.

    Examples
    --------
    >>> refusal_kind("DH-905", "Invalid IP").value
    'IP'
    >>> refusal_kind("DH-906", "no such order").value
    'ORDER'
    >>> refusal_kind("DH-906", "Script not allowed").value
    'ORDER'
    """
    lower = message.lower()
    for kind, words in _WORDS:
        if words.search(lower):
            return kind
    return _CODES.get(code, RefusalKind.OTHER)


def error_body(body: Any) -> ErrorBody | None:
    """Read any of Dhan's error shapes; None where the body is no error.

    Parameters
    ----------
    body : object
        Parsed JSON: the trading shape, the data shape (``status`` failed, code → text), the chart shape
        (integer code), ``{"status":"error","errors":…}``, or one of them alone in an array.
    """
    if isinstance(body, list):
        return error_body(body[0]) if len(body) == 1 and _names_error(body[0]) else None
    if not isinstance(body, Mapping):
        return None
    if body.get("errorCode") not in (None, "") or body.get("errorType"):
        code = str(body.get("errorCode") or "")
        return ErrorBody(code, _short(body.get("errorMessage") or body.get("errorType") or code))
    if str(body.get("status", "")).lower() not in _FAILED_WORDS:
        return None
    data = body.get("data")
    if isinstance(data, Mapping) and data:
        code, message = next(iter(data.items()))
        return ErrorBody(str(code), _short(message))
    told = body.get("errors") or body.get("remarks") or body.get("message") or data or ""
    return ErrorBody("", _short(told))


def _names_error(body: Any) -> bool:
    return isinstance(body, Mapping) and ("errorCode" in body or "errorType" in body)


def _short(value: object) -> str:
    return str(value)[:_TEXT_MAX]


def response_fault(status: int, body: Any, *, is_write: bool) -> BrokerFault | None:
    """Turn an answer into the fault it stands for; None = it is a success.

    Parameters
    ----------
    status : int
        HTTP status.
    body : object
        Parsed JSON, or None where there was none.
    is_write : bool
        Whether the call could have changed anything at the broker.
    """
    error = error_body(body)
    if 200 <= status < 300 and error is None:
        return None
    code, message = (error.code, error.message) if error else ("", f"HTTP {status} without a readable reason")
    text = f"Dhan answered HTTP {status} {code}: {message}".replace(" :", ":")
    # A success status with an error inside proves nothing about a write either.
    is_proof = error is not None and status in _PROOF_STATUSES and code not in _BACKEND_CODES
    if is_write and not is_proof:
        return OutcomeUnknown(text)
    if status == 401 or code in _AUTH_CODES:
        return AuthExpired(text)
    if status == 429 or code in _RATE_CODES:
        return Retryable(text)
    if error is None or status >= 500 or code in _BACKEND_CODES:
        return Retryable(text)
    return refusal(text, code, message)
