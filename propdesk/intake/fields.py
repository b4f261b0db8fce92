"""Text to values, strictly: what is not plainly readable gives None, never a guess."""

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

from propdesk.core.clock import NS_PER_MINUTE, NS_PER_SECOND, from_ns, to_ns
from propdesk.core.errors import SchemaFault
from propdesk.core.limits import PRICE_PAISE_MAX
from propdesk.core.money import PAISE_PER_RUPEE, price_to_paise

YEAR_MIN = 2000
YEAR_MAX = 2100
"""A stamp outside is a slip of the keyboard or an epoch in the wrong unit."""

_CACHE_SIZE = 1 << 16
# ASCII classes on purpose: \d also matches full-width and Arabic digits.
_PRICE = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,10}))?\Z")
# Indian groups only: "110,120" is as likely a list of two prices, and which one nobody can say.
_GROUPED_PRICE = re.compile(r"[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}(?:\.[0-9]{1,10})?\Z")
_PAISE = re.compile(r"[0-9]{1,12}(?:\.0{1,4})?\Z")
_FRACTION = re.compile(r"(?:0?\.[0-9]{1,9}|[01](?:\.[0-9]{1,9})?|[0-9]{1,3}(?:\.[0-9]{1,6})?%)\Z")
_ISO_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)\s?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_WHOLE_MINUTE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}\s?(?:Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TARGET_SEPARATORS = str.maketrans("|;", "//")


@lru_cache(maxsize=_CACHE_SIZE)
def parse_price(text: str) -> int | None:
    """Read a price in rupees.

    Parameters
    ----------
    text : str
        Plain decimal, Indian digit groups allowed; no sign, exponent, currency or other digits than 0-9.

    Returns
    -------
    int or None
        Paise, > 0 and at most the largest accepted price (§1.3); None if it does not read as that.

    Examples
    --------
    >>> parse_price("1,23,456.50"), parse_price("1e308"), parse_price("NaN"), parse_price("0")
    (12345650, None, None, None)
    """
    found = _PRICE.match(text)
    if found is None:
        if not _GROUPED_PRICE.match(text):
            return None
        return parse_price(text.replace(",", ""))
    rupees, decimals = found.groups()
    if decimals is None or len(decimals) <= 2:
        paise = int(rupees) * PAISE_PER_RUPEE + int(f"{decimals or '':0<2}")  # nearly all prices: no Decimal
        return paise if 0 < paise <= PRICE_PAISE_MAX else None
    try:
        return price_to_paise(text)
    except SchemaFault:
        return None


def paise_text_to_rupees(text: str) -> str | None:
    """Rewrite a whole number of paise as rupees text; None if it is none.

    Examples
    --------
    >>> paise_text_to_rupees("14250")
    '142.50'
    """
    if not _PAISE.match(text):
        return None
    paise = int(text.partition(".")[0])
    return f"{paise // 100}.{paise % 100:02d}"


@lru_cache(maxsize=4096)
def parse_targets(text: str) -> tuple[int | None, ...]:
    """Read targets written ``142/171/200`` (also ``|`` and ``;``); None stands for each unreadable one."""
    # A list, not a generator, and no pattern: this runs for nearly every signal.
    return tuple([parse_price(part.strip()) for part in text.translate(_TARGET_SEPARATORS).split("/")])


def parse_fraction(text: str) -> float | None:
    """Read a share in (0, 1] or a percentage in (0, 100]; None if it is neither.

    Examples
    --------
    >>> parse_fraction("50%"), parse_fraction("0.5"), parse_fraction("2"), parse_fraction("0")
    (0.5, 0.5, None, None)
    """
    if not _FRACTION.match(text):
        return None
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    return value if 0.0 < value <= 1.0 else None


def parse_time(text: str, formats: tuple[str, ...], offset_minutes: int) -> int | None:
    """Read a moment.

    Parameters
    ----------
    text : str
        ISO 8601 date and time with or without an offset, or one of ``formats``.
    formats : tuple of str
        `datetime.strptime` patterns tried after ISO, in order.
    offset_minutes : int
        Zone of a time that names none, minutes east of UTC.

    Returns
    -------
    int or None
        ns UTC; None if it is unreadable, impossible or outside 2000..2100.
    """
    # Nearly every stamp is one of some thousand minutes and a second.
    if (
        len(text) > 18
        and text[16] == ":"
        and text[17:19].isascii()
        and text[17:19].isdigit()
        and text[17:19] < "60"
    ):
        start = minute_ns(f"{text[:16]}{text[19:]}", offset_minutes)
        if start is not None:
            return start + int(text[17:19]) * NS_PER_SECOND
    return _parse_time(text, formats, offset_minutes)


@lru_cache(maxsize=_CACHE_SIZE)
def minute_ns(text: str, offset_minutes: int) -> int | None:
    """Read ``2025-01-02T09:20+05:30``, a minute with or without a zone, as ns UTC; None for anything else."""
    return _parse_time(text, (), offset_minutes) if _WHOLE_MINUTE.match(text) else None


def _parse_time(text: str, formats: tuple[str, ...], offset_minutes: int) -> int | None:
    moment = _iso_moment(text)
    for pattern in formats if moment is None else ():
        try:
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007  # the zone is given below
            break
        except ValueError:
            continue
    if moment is None or not YEAR_MIN <= moment.year < YEAR_MAX:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_zone(offset_minutes))
    return to_ns(moment)


def _iso_moment(text: str) -> datetime | None:
    found = _ISO_TIME.match(text)
    if found is None:
        return None
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}{found[3] or ''}")
    except ValueError:
        return None


@lru_cache(maxsize=64)
def _zone(offset_minutes: int) -> timezone:
    return timezone(timedelta(minutes=offset_minutes))


@lru_cache(maxsize=_CACHE_SIZE)
def parse_date(text: str, formats: tuple[str, ...] = ()) -> date | None:
    """Read a calendar day: ISO, or one of ``formats``; None if it is unreadable or outside 2000..2100."""
    day: date | None = None
    if _ISO_DATE.match(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            return None
    for pattern in formats if day is None else ():
        try:
            day = datetime.strptime(text, pattern).date()  # noqa: DTZ007  # only the day is kept
            break
        except ValueError:
            continue
    return day if day is not None and YEAR_MIN <= day.year < YEAR_MAX else None


def time_text(ns: int) -> str:
    """Write a moment canonically: ISO, UTC, microseconds where there are any."""
    seconds, rest = divmod(ns, NS_PER_SECOND)
    if rest:
        return from_ns(ns).isoformat()
    return f"{minute_text(seconds // 60)}:{seconds % 60:02d}+00:00"


@lru_cache(maxsize=_CACHE_SIZE)
def minute_text(minute: int) -> str:
    """Write the minute of a moment, counted from 1970 in UTC, as `time_text` begins."""
    return from_ns(minute * NS_PER_MINUTE).isoformat()[:16]
