"""JSON log lines: time in UTC, component, event, ids; secrets never reach them."""

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog

from propdesk.core.clock import Clock, from_ns

_SECRET_KEY: Final = re.compile(
    r"(pass(word|wd)?|secret|token|api_?key|totp|pin|authorization|jwt)$", re.IGNORECASE
)
_URL_PASSWORD: Final = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(?=@)", re.IGNORECASE)
MASK: Final = "***"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_SHORTEST_SECRET: Final = 6
"""Shorter registered values are not masked inside text: they would blank ordinary words."""


def redact(value: object, secrets: Iterable[str] = ()) -> object:
    """Mask secrets in one value, whatever its nesting.

    Parameters
    ----------
    value : object
        Text, number, mapping or sequence of those.
    secrets : iterable of str
        Values to mask wherever they appear.

    Returns
    -------
    object
        The same shape; passwords in URLs, values under secret-sounding keys and ``secrets`` are ``***``.

    Examples
    --------
    >>> redact({"token": "abc", "url": "redis://:pw@host/0"})
    {'token': '***', 'url': 'redis://:***@host/0'}
    """
    known = tuple(s for s in secrets if len(s) >= _SHORTEST_SECRET)
    return _redact(value, known)


def _redact(value: object, secrets: tuple[str, ...]) -> object:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASK)
        return _URL_PASSWORD.sub(rf"\g<head>{MASK}", value)
    if isinstance(value, Mapping):
        return {k: MASK if _SECRET_KEY.search(str(k)) else _redact(v, secrets) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redact(item, secrets) for item in value]
    return value if isinstance(value, int | float | bool | type(None)) else _redact(str(value), secrets)


def silence_request_logs() -> None:
    """Switch off the HTTP library's own log lines: they show whole addresses, PIN and token included."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).disabled = True
    # httpcore logs through children, which a disabled parent does not stop
    for child in ("connection", "http11", "proxy", "socks"):
        logging.getLogger(f"httpcore.{child}").disabled = True


def configure_logging(
    component: str,
    clock: Clock,
    *,
    level: str = "info",
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Set up the JSON log of this process.

    Parameters
    ----------
    component : str
        Name of the process, e.g. ``daemon``.
    clock : Clock
        Gives the ``ts`` of each line.
    level : {"debug", "info", "warning", "error"}
        Lowest level written.
    secrets : iterable of str
        Values masked wherever they appear (`Settings.secret_values`).
    stream : text file, optional
        Where lines go; standard error by default.
    """
    known = tuple(secrets)

    def stamp(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["ts"] = from_ns(clock.now_ns()).isoformat(timespec="microseconds")
        event["component"] = component
        return event

    def mask(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        clean = redact(dict(event), known)
        return clean if isinstance(clean, dict) else event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            stamp,
            mask,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger(**ids: object) -> structlog.typing.FilteringBoundLogger:
    """Give a logger that carries ``ids`` on every line.

    Parameters
    ----------
    **ids
        E.g. ``signal_id``, ``group_id``; the first argument of each call is the event's name.

    Returns
    -------
    FilteringBoundLogger
        ``log.info("order_sent", order_id=...)``.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger().bind(**ids)
    return logger
