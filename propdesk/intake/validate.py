"""Canonical text to typed values, with every fault of a record named at once (§1.1, §1.2)."""

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import NamedTuple, TypeVar

from propdesk.core.ids import signal_id
from propdesk.core.limits import TARGETS_MAX
from propdesk.intake.fields import parse_date, parse_fraction, parse_price, parse_targets, parse_time
from propdesk.intake.reasons import Findings, Rejection, RejectReason, RejectStage
from propdesk.model.enums import Category, EntryType, FollowupKind, OptionType, Period, Side
from propdesk.model.signal import Followup, Signal

_EnumT = TypeVar("_EnumT", Category, EntryType, FollowupKind, OptionType, Period, Side)

_CACHE_SIZE = 1 << 14
_REGISTRATION = re.compile(r"INH[0-9]{9}\Z")
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9&\-_. ]{0,39}\Z")
# Month 1-12 and day 1-31; which of them are listed, the instrument master knows.
_EXPIRY_RULE = re.compile(
    r"(?:(?:CURRENT|NEXT)_(?:WEEKLY|MONTHLY)|MONTH-(?:0[1-9]|1[0-2])|DAY-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))\Z"
)
_EXPIRY_WORDS = {
    "WEEKLY": "CURRENT_WEEKLY",
    "CURRENT WEEK": "CURRENT_WEEKLY",
    "CURRENT WEEKLY": "CURRENT_WEEKLY",
    "NEXT WEEK": "NEXT_WEEKLY",
    "NEXT WEEKLY": "NEXT_WEEKLY",
    "MONTHLY": "CURRENT_MONTHLY",
    "CURRENT MONTH": "CURRENT_MONTHLY",
    "CURRENT MONTHLY": "CURRENT_MONTHLY",
    "NEXT MONTH": "NEXT_MONTHLY",
    "NEXT MONTHLY": "NEXT_MONTHLY",
}


def build_signal(
    content: Mapping[str, str], *, record_id: str, revision: int, posted_ns: int, received_ns: int
) -> Signal | Rejection:
    """Type one landed signal.

    Parameters
    ----------
    content : mapping of str to str
        Canonical text fields (`propdesk.intake.parse.land_row`).
    record_id : str
        Its signal_id.
    revision : int
        Which content of this record it is, from 1.
    posted_ns, received_ns : int
        ns UTC.

    Returns
    -------
    Signal or Rejection
        The rejection names every fault. ``underlying`` holds the symbol as written, in upper case.
    """
    get = content.get
    what = _what(
        get("category"), get("side"), get("symbol", ""), get("expiry"), get("strike"), get("option_type")
    )
    category, side = what.category, what.side
    findings = Findings()
    findings.take(what.findings)
    entry_type, low, high = _entry(content, findings)
    stoploss = _price(content, "stoploss", findings)
    targets = _targets(content, findings)
    if side is not None and not findings.reasons:
        check_levels(side, low, high, stoploss, targets, findings)
    advisor = _required(content, "advisor_id", findings)
    reported_exit_ns = _time(content, "reported_exit_at", findings)
    period, registration, faults = _about(get("period"), get("sebi_reg_no"))
    findings.take(faults)
    reported_exit = _price(content, "reported_exit_price", findings)
    rejection = findings.rejection(RejectStage.VALIDATE, record_id)
    if rejection is not None or category is None or side is None or entry_type is None:
        return rejection or Rejection(RejectStage.VALIDATE, (), "", record_id)
    return Signal(
        signal_id=record_id,
        revision=revision,
        source=get("source", ""),
        source_message_id=get("source_message_id", ""),
        advisor_id=advisor,
        advisor_name=get("advisor_name", advisor),
        sebi_reg_no=registration,
        posted_ns=posted_ns,
        received_ns=received_ns,
        category=category,
        underlying=what.symbol,
        expiry=what.expiry,
        strike_paise=what.strike_paise,
        option_type=what.option_type,
        side=side,
        entry_type=entry_type,
        entry_low_paise=low,
        entry_high_paise=high,
        stoploss_paise=stoploss,
        targets_paise=targets,
        declared_period=period,
        group_key=get("group_key"),
        reported_status=get("reported_status"),
        reported_exit_paise=reported_exit,
        reported_exit_ns=reported_exit_ns,
        expiry_rule=what.expiry_rule,
    )


def build_followup(
    content: Mapping[str, str], *, record_id: str, posted_ns: int, received_ns: int
) -> Followup | Rejection:
    """Type one landed follow-up; parameters as `build_signal`.

    Returns
    -------
    Followup or Rejection
        ``signal_id`` is set where the record refers to a message by id; whether that signal exists is
        for the caller to say.
    """
    findings = Findings()
    kind = _member(
        FollowupKind,
        content.get("followup_kind"),
        findings,
        RejectReason.BAD_FOLLOWUP_KIND,
        "followup_kind",
    )
    advisor = _required(content, "advisor_id", findings)
    stoploss = _price(content, "stoploss", findings)
    targets = _targets(content, findings)
    fraction = _fraction(content, kind, findings)
    if kind is FollowupKind.UPDATE_STOPLOSS and stoploss is None:
        findings.add(RejectReason.MISSING_FIELD, "UPDATE_STOPLOSS names no stoploss")
    if kind is FollowupKind.UPDATE_TARGET and not targets:
        findings.add(RejectReason.MISSING_FIELD, "UPDATE_TARGET names no targets")
    symbol = _symbol(content["symbol"], findings) if "symbol" in content else None
    rejection = findings.rejection(RejectStage.VALIDATE, record_id)
    if rejection is not None or kind is None:
        return rejection or Rejection(RejectStage.VALIDATE, (), "", record_id)
    source, refers_to = content.get("source", ""), content.get("refers_to")
    return Followup(
        followup_id=record_id,
        signal_id=signal_id(source, refers_to, 0) if refers_to else None,
        source=source,
        advisor_id=advisor,
        underlying=symbol,
        posted_ns=posted_ns,
        received_ns=received_ns,
        kind=kind,
        stoploss_paise=stoploss,
        targets_paise=targets,
        fraction=fraction,
    )


def check_levels(
    side: Side,
    entry_low: int | None,
    entry_high: int | None,
    stoploss: int | None,
    targets: tuple[int, ...],
    findings: Findings,
) -> None:
    """Check that the stop loses, the targets win, and the targets run away from the entry (§1.1).

    Parameters
    ----------
    entry_low, entry_high, stoploss : int or None
        Paise; a MARKET entry has no prices, then stop and targets are checked against each other.
    targets : tuple of int
        Paise.
    findings : Findings
        Takes the faults.
    """
    sign = side.sign
    # Mirrored for a sale, so that "up" is always the winning way.
    losing_end = None if entry_low is None or entry_high is None else min(sign * entry_low, sign * entry_high)
    winning_end = (
        None if entry_low is None or entry_high is None else max(sign * entry_low, sign * entry_high)
    )
    stop = None if stoploss is None else sign * stoploss
    levels = [sign * target for target in targets]
    if stop is not None and losing_end is not None and stop >= losing_end:
        findings.add(RejectReason.STOPLOSS_WRONG_SIDE, "the stoploss is not on the losing side of the entry")
    floor = winning_end if winning_end is not None else stop
    if floor is not None and levels and min(levels) <= floor:
        findings.add(RejectReason.TARGET_WRONG_SIDE, "a target is not on the winning side of the entry")
    if len(levels) > 1 and levels != sorted(set(levels)):
        findings.add(RejectReason.TARGETS_NOT_MONOTONE, "the targets do not run away from the entry")


# ---------------------------------------------------------------------------------------------- fields


class _What(NamedTuple):
    """What an idea is about, and what is wrong with that."""

    category: Category | None
    side: Side | None
    symbol: str
    expiry: date | None
    expiry_rule: str | None
    strike_paise: int | None
    option_type: OptionType | None
    findings: Findings


# Advisors speak of the same contracts again and again: each is read once. What is cached is never added to.
@lru_cache(maxsize=_CACHE_SIZE)
def _what(
    category_text: str | None,
    side_text: str | None,
    symbol_text: str,
    expiry_text: str | None,
    strike_text: str | None,
    type_text: str | None,
) -> _What:
    findings = Findings()
    category = _member(Category, category_text, findings, RejectReason.BAD_CATEGORY, "category")
    side = _member(Side, side_text, findings, RejectReason.BAD_SIDE, "side")
    symbol = _symbol(symbol_text, findings)
    contract = _contract(expiry_text, strike_text, type_text, category, findings)
    return _What(category, side, symbol, *contract, findings)


@lru_cache(maxsize=_CACHE_SIZE)
def _about(
    period_text: str | None, registration_text: str | None
) -> tuple[Period | None, str | None, Findings]:
    findings = Findings()
    period = _optional(Period, period_text, findings, RejectReason.BAD_PERIOD, "period")
    return period, _registration(registration_text, findings), findings


def _member(
    kind: type[_EnumT], text: str | None, findings: Findings, reason: RejectReason, name: str
) -> _EnumT | None:
    if not text:
        findings.add(RejectReason.MISSING_FIELD, f"{name} is empty")
        return None
    return _optional(kind, text, findings, reason, name)


def _optional(
    kind: type[_EnumT], text: str | None, findings: Findings, reason: RejectReason, name: str
) -> _EnumT | None:
    if not text:
        return None
    member = kind._value2member_map_.get(text.upper()) if text.isascii() else None
    if isinstance(member, kind):
        return member
    findings.add(reason, f"{name} {text[:60]!r} is none of {', '.join(m.value for m in kind)}")
    return None


def _required(content: Mapping[str, str], name: str, findings: Findings) -> str:
    value = content.get(name, "")
    if not value:
        findings.add(RejectReason.MISSING_FIELD, f"{name} is empty")
    return value


def _symbol(text: str, findings: Findings) -> str:
    symbol = " ".join(text.upper().split())
    if not symbol:
        findings.add(RejectReason.MISSING_FIELD, "symbol is empty")
    elif not text.isascii() or not _SYMBOL.match(symbol):  # upper case of one sharp s is two plain ones
        findings.add(
            RejectReason.BAD_SYMBOL, f"symbol {text[:60]!r} holds other than A-Z, 0-9, & - _ . and blank"
        )
    return symbol


def _price(content: Mapping[str, str], name: str, findings: Findings) -> int | None:
    return _price_of(content.get(name), name, findings)


def _price_of(text: str | None, name: str, findings: Findings) -> int | None:
    if not text:
        return None
    paise = parse_price(text)
    if paise is None:
        findings.add(
            RejectReason.BAD_PRICE, f"{name} {text[:60]!r} is no price above 0 and up to 10,000,000 rupees"
        )
    return paise


def _targets(content: Mapping[str, str], findings: Findings) -> tuple[int, ...]:
    text = content.get("targets")
    if not text:
        return ()
    read = parse_targets(text)
    targets = tuple(target for target in read if target is not None)
    if len(targets) != len(read):
        findings.add(RejectReason.BAD_PRICE, f"targets {text[:60]!r} are no prices written like 142/171/200")
    if len(targets) > TARGETS_MAX:
        findings.add(
            RejectReason.TOO_MANY_TARGETS, f"{len(targets)} targets, at most {TARGETS_MAX} are taken"
        )
    return targets


def _registration(text: str | None, findings: Findings) -> str | None:
    if text and not (text.isascii() and _REGISTRATION.match(text.upper())):
        findings.add(RejectReason.BAD_REGISTRATION, f"sebi_reg_no {text[:60]!r} is not INH and nine digits")
        return None
    return text.upper() if text else None


def _time(content: Mapping[str, str], name: str, findings: Findings) -> int | None:
    text = content.get(name)
    if not text:
        return None
    moment = parse_time(text, (), 330)
    if moment is None:
        findings.add(RejectReason.BAD_TIME, f"{name} {text[:60]!r} is no date and time")
    return moment


def _contract(
    expiry_text: str | None,
    strike_text: str | None,
    type_text: str | None,
    category: Category | None,
    findings: Findings,
) -> tuple[date | None, str | None, int | None, OptionType | None]:
    """Read expiry, strike and option type as the category needs them."""
    expiry, rule = _expiry(expiry_text, findings)
    strike = _price_of(strike_text, "strike", findings)
    option_type = _optional(OptionType, type_text, findings, RejectReason.BAD_OPTION_TYPE, "option_type")
    if category is None:
        return expiry, rule, strike, option_type
    if category.is_option and not strike_text:
        findings.add(RejectReason.BAD_STRIKE, "an option needs a strike")
    if category.is_option and not type_text:
        findings.add(RejectReason.BAD_OPTION_TYPE, "an option needs CE or PE")
    if not category.is_option and (strike_text or type_text):
        findings.add(RejectReason.NOT_FOR_CATEGORY, f"{category} takes neither strike nor option_type")
    if not category.is_derivative and expiry_text:
        findings.add(RejectReason.NOT_FOR_CATEGORY, f"{category} has no expiry")
    return expiry, rule, strike, option_type


def _expiry(text: str | None, findings: Findings) -> tuple[date | None, str | None]:
    if not text:
        return None, None
    day = parse_date(text)
    word = _EXPIRY_WORDS.get(text.upper(), text.upper()) if text.isascii() else ""
    if day is not None:
        return day, None
    if _EXPIRY_RULE.match(word):
        return None, word
    findings.add(
        RejectReason.BAD_EXPIRY, f"expiry {text[:60]!r} is neither a date nor CURRENT_WEEKLY and the like"
    )
    return None, None


def _entry(content: Mapping[str, str], findings: Findings) -> tuple[EntryType | None, int | None, int | None]:
    """Read entry type and prices; without a type, none = MARKET, two = RANGE, one = LIMIT."""
    low, high = _price(content, "entry_low", findings), _price(content, "entry_high", findings)
    low, high = (high if low is None else low), (low if high is None else high)
    stated = _optional(
        EntryType, content.get("entry_type"), findings, RejectReason.BAD_ENTRY_TYPE, "entry_type"
    )
    if low is None or high is None:
        if stated not in (None, EntryType.MARKET):
            findings.add(RejectReason.BAD_ENTRY, f"{stated} needs an entry price")
        return EntryType.MARKET if stated is None else stated, None, None
    if low > high:
        findings.add(RejectReason.BAD_ENTRY, "entry_low lies above entry_high")
    if stated in (EntryType.LIMIT, EntryType.STOP) and low != high:
        findings.add(RejectReason.BAD_ENTRY, f"{stated} takes one entry price, not a range")
    if stated is EntryType.MARKET:
        return stated, None, None
    return stated or (EntryType.LIMIT if low == high else EntryType.RANGE), low, high


def _fraction(content: Mapping[str, str], kind: FollowupKind | None, findings: Findings) -> float | None:
    text = content.get("fraction")
    fraction = parse_fraction(text) if text else None
    if text and fraction is None:
        findings.add(RejectReason.BAD_FRACTION, f"fraction {text[:60]!r} is no share above 0 and up to 1")
    elif kind is FollowupKind.PARTIAL_EXIT and fraction is None:
        findings.add(RejectReason.BAD_FRACTION, "PARTIAL_EXIT needs a fraction")
    return fraction
