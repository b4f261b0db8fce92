"""One-line calls in free text (§1.3): ``BUY X ABOVE 142 SL 127 TGT 171/200``.

Grammar, case and punctuation aside::

    call       = {label} side [size] instrument [trigger] entry {stop | targets}
    label      = CASH | FUTURES | OPTION | EQUITY | TRADE | CALL | INTRADAY | BTST | SWING | POSITIONAL …
    side       = BUY | LONG | SELL | SHORT                                   exactly one per call
    size       = number (LOT|LOTS|SHARES) OF                                 the advisor's own, ignored
    instrument = symbol [NSE] {expiry | strike (CE|PE|CALL|PUT) [OPTION] | FUT | CASH}
    expiry     = [day] month [year] | WEEKLY | MONTHLY | NEXT WEEK | NEXT MONTH
    trigger    = ABOVE | BELOW | AT | NEAR | AROUND | @ | BETWEEN
    entry      = price | price - price | CMP | MARKET
    stop       = (SL | STOPLOSS | STOP LOSS) [OF|AT|:] price                 0 means none
    targets    = (TGT | TARGET …) price {(- | / | , | blank) price} [POINTS]

ABOVE for a buy and BELOW for a sell wait for the price to move (STOP); any other trigger is a LIMIT; two
prices are a RANGE. Targets followed by POINTS are distances from the entry's worse end. Everything else is
unreadable.

Confidence = 0.6, plus 0.2 with a stop, plus 0.2 with targets, less 0.1 for each word not understood; below
`CONFIDENCE_MIN` the call counts as unreadable, so that prose about trades is not taken for a trade.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from propdesk.intake.aliases import fold_symbol
from propdesk.intake.fields import parse_price

CONFIDENCE_MIN = 0.6
"""A bare "BUY X AT 100" passes, the same with one unknown word does not."""

_TEXT_LENGTH_MAX = 2_000
_NUMBER = r"[0-9]{1,7}(?:\.[0-9]{1,2})?"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
"""Months as the exchange and advisors write them; a month's number is its place here and one."""
_NOISE = re.compile(r"[^A-Z0-9&./,@:+\-=\s]")
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_SIDE = re.compile(r"\b(BUY|LONG|SELL|SHORT)\b")
_STOP = re.compile(rf"\b(?:SL|STOP\s?LOSS)\b[\s:@=\-]*(?:OF|AT|IS)?[\s:@=\-]*({_NUMBER})")
_TARGETS = re.compile(
    r"\b(?:(?:TGTS?|TARGETS?|TARGE)\b[\s:@=\-]*)+(?:OF|AT|IS)?[\s:@=\-]*"
    rf"({_NUMBER}(?:\s*[-/,&+]\s*{_NUMBER}|\s+{_NUMBER})*)\s*(POINTS?\b|PTS?\b)?"
)
_EXPIRY = re.compile(
    rf"\b(?:([0-9]{{1,2}})(?:ST|ND|RD|TH)?\s?)?({'|'.join(MONTHS)})[A-Z]*(?:\s?'?(20[0-9]{{2}}))?\b"
)
_EXPIRY_WORDS = (
    (re.compile(r"\bNEXT\s+WEEK(?:LY)?\b"), "NEXT_WEEKLY"),
    (re.compile(r"\bNEXT\s+MONTH(?:LY)?\b"), "NEXT_MONTHLY"),
    (re.compile(r"\b(?:CURRENT\s+|THIS\s+)?WEEK(?:LY)?\b"), "CURRENT_WEEKLY"),
    (re.compile(r"\b(?:CURRENT\s+|THIS\s+)?MONTH(?:LY)?\b"), "CURRENT_MONTHLY"),
)
_STRIKE = re.compile(rf"(?<![0-9.])({_NUMBER})\s*(CE|PE|CALL|PUT)\b(?:\s+OPTION)?")
_SIZE = re.compile(r"\b[0-9]{1,6}\s*(?:LOTS?|SHARES?|QTY)\s+(?:OF\s+)?")
_FUTURE = re.compile(r"\bFUT(?:URES?)?\b")
_ENTRY = re.compile(
    rf"(?:\b(ABOVE|BELOW|NEAR|AT|AROUND|BETWEEN|RANGE)\b|(@))?\s*[:=]?\s*"
    rf"(?<![0-9.])({_NUMBER})(?:\s*(?:-|TO|AND)\s*({_NUMBER}))?(?![0-9.])"
)
_MARKET = re.compile(r"\b(?:AT\s+)?(?:CMP|MARKET(?:\s+PRICE)?)\b")
_SYMBOL = re.compile(r"[A-Z][A-Z0-9&\-]*(?:\s+(?:NIFTY|BANK|50))?\Z")
_PERIODS = {"INTRADAY": "INTRADAY", "BTST": "SWING", "SWING": "SWING", "POSITIONAL": "POSITIONAL"}
_KNOWN_WORDS = frozenset(
    {
        "CASH",
        "FUTURES",
        "FUTURE",
        "OPTION",
        "OPTIONS",
        "EQUITY",
        "TRADE",
        "CALL",
        "STOCK",
        "NSE",
        "WITH",
        "THE",
        "OF",
    }
    | {"AND", "A", "FOR", "INDEX", "EXPIRY", "TODAY", "SHARE", "IN", "NOW", "RANGE"}
)


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """What a line of free text says, as canonical text fields; ``confidence`` in [0, 1]."""

    fields: dict[str, str]
    confidence: float


def parse_calls(text: str, index_names: frozenset[str] = frozenset()) -> list[ParsedCall | None]:
    """Read the calls of one message.

    Parameters
    ----------
    text : str
        The message as posted; may span lines.
    index_names : frozenset of str
        Folded names of indices (`propdesk.intake.aliases.fold_symbol`).

    Returns
    -------
    list of ParsedCall or None
        One entry per call in order of appearance; None for one that cannot be read. A message
        without a side word gives ``[None]``.

    Examples
    --------
    >>> parse_calls("BUY TCS ABOVE 142 SL 127 TGT 171/200")[0].fields["targets"]
    '171/200'
    >>> parse_calls("Markets look strong today")
    [None]
    """
    if len(text) > _TEXT_LENGTH_MAX or _mixes_scripts(text):
        return [None]
    cleaned = _NOISE.sub(" ", _FOREIGN.sub(" ", text).upper())
    if not _SIDE.search(cleaned):
        return [None]
    if len(_SIDE.findall(cleaned)) == 1:
        return [_parse_one(" ".join(cleaned.split()), index_names)]
    lines = [" ".join(line.split()) for line in cleaned.splitlines() if _SIDE.search(line)]
    return [_parse_one(line, index_names) for line in lines]


def _mixes_scripts(text: str) -> bool:
    """Tell whether a word mixes plain letters or digits with others: a disguised name, a misread price."""
    if text.isascii():
        return False
    return any(a.isalnum() and b.isalnum() and a.isascii() != b.isascii() for a, b in pairwise(text))


def _parse_one(line: str, index_names: frozenset[str]) -> ParsedCall | None:
    if len(_SIDE.findall(line)) != 1 or len(_STOP.findall(line)) > 1 or len(_TARGETS.findall(line)) > 1:
        return None
    fields: dict[str, str] = {}
    stop, targets = _STOP.search(line), _TARGETS.search(line)
    rest = _TARGETS.sub(" ", _STOP.sub(" ", line))
    side = _SIDE.search(rest)
    if side is None:
        return None
    fields["side"] = "BUY" if side[1] in ("BUY", "LONG") else "SELL"
    labels, body = rest[: side.start()], _SIZE.sub(" ", rest[side.end() :])
    body = _take_contract(body, fields)
    leftover = _take_entry(body, fields)
    if leftover is None:
        return None
    words = _take_symbol(leftover, fields)
    if words is None or not _take_levels(fields, stop, targets):
        return None
    unknown = _unknown_words([*labels.replace("-", " ").split(), *words], fields)
    _categorise(fields, index_names)
    score = 0.6 + 0.2 * ("stoploss" in fields) + 0.2 * ("targets" in fields) - 0.1 * unknown
    if "category" not in fields or score < CONFIDENCE_MIN - 1e-9:
        return None
    return ParsedCall(fields, round(score, 2))


def _take_contract(body: str, fields: dict[str, str]) -> str:
    """Cut out expiry, strike and the word future."""
    for pattern, word in _EXPIRY_WORDS:
        if pattern.search(body):
            fields["expiry"] = word
            body = pattern.sub(" ", body, count=1)
            break
    expiry = _EXPIRY.search(body)
    if expiry is not None:
        month = MONTHS.index(expiry[2]) + 1
        if expiry[1] and expiry[3]:
            fields["expiry"] = f"{expiry[3]}-{month:02d}-{int(expiry[1]):02d}"
        else:
            fields["expiry"] = f"DAY-{month:02d}-{int(expiry[1]):02d}" if expiry[1] else f"MONTH-{month:02d}"
        body = body[: expiry.start()] + " " + body[expiry.end() :]
    strike = _STRIKE.search(body)
    if strike is not None:
        fields["strike"] = strike[1]
        fields["option_type"] = "CE" if strike[2] in ("CE", "CALL") else "PE"
        body = body[: strike.start()] + " " + body[strike.end() :]
    if _FUTURE.search(body):
        fields["category"] = "FUT"
        body = _FUTURE.sub(" ", body)
    return body


def _take_entry(body: str, fields: dict[str, str]) -> str | None:
    """Cut out the entry; what stands before it, and after, is left. None without an entry."""
    market = _MARKET.search(body)
    if market is not None:
        fields["entry_type"] = "MARKET"
        return body[: market.start()] + " | " + body[market.end() :]
    found = list(_ENTRY.finditer(body))
    if len(found) > 1 and found[0][1] is None and found[0][2] is None:
        found = found[1:]  # a bare number before the entry belongs to the name (NIFTY 50)
    if len(found) != 1:
        return None
    entry = found[0]
    low, high = entry[3], entry[4] or entry[3]
    ordered = sorted((low, high), key=float)
    fields["entry_low"], fields["entry_high"] = ordered
    waits = {("BUY", "ABOVE"), ("SELL", "BELOW")}
    if entry[4]:
        fields["entry_type"] = "RANGE"
    else:
        fields["entry_type"] = "STOP" if (fields["side"], entry[1]) in waits else "LIMIT"
    return body[: entry.start()] + " | " + body[entry.end() :]


def _take_symbol(leftover: str, fields: dict[str, str]) -> list[str] | None:
    """Read the name before the entry; the other words come back."""
    before, _, after = leftover.partition("|")
    words = [word for word in before.split() if word.strip("-.,:+=/@&")]
    name: list[str] = []
    for word in words:
        if word in _KNOWN_WORDS or word in _PERIODS:
            continue
        if name and word not in ("NIFTY", "BANK", "50"):
            break
        name.append(word.strip("-.,:=/@"))
    symbol = " ".join(name)
    if not _SYMBOL.match(symbol):
        return None
    fields["symbol"] = symbol
    rest = [word for word in words if word.strip("-.,:=/@") not in name]
    return rest + [word for word in after.split() if word.strip("-.,:+=/@&")]


def _take_levels(
    fields: dict[str, str], stop: "re.Match[str] | None", targets: "re.Match[str] | None"
) -> bool:
    if stop is not None and float(stop[1]) > 0:
        fields["stoploss"] = stop[1]
    if targets is None:
        return True
    prices = re.findall(_NUMBER, targets[1])
    if targets[2]:
        worse = fields.get("entry_high" if fields["side"] == "BUY" else "entry_low")
        entry = parse_price(worse) if worse else None
        distances = [parse_price(price) for price in prices]
        if entry is None or None in distances:
            return False
        sign = 1 if fields["side"] == "BUY" else -1
        levels = [entry + sign * (distance or 0) for distance in distances]
        if min(levels) <= 0:
            return False
        prices = [f"{level // 100}.{level % 100:02d}" for level in levels]
    fields["targets"] = "/".join(prices)
    return True


def _unknown_words(words: list[str], fields: dict[str, str]) -> int:
    unknown = 0
    for word in words:
        bare = word.strip("-.,:=/@+&")
        if bare in _PERIODS:
            fields["period"] = _PERIODS[bare]
        elif bare in ("FUTURES", "FUTURE", "UTURES"):
            fields.setdefault("category", "FUT")
        elif bare and bare not in _KNOWN_WORDS:
            unknown += 1
    return unknown


def _categorise(fields: dict[str, str], index_names: frozenset[str]) -> None:
    """Set the category; an index without contract has none, as it cannot be traded."""
    is_index = fold_symbol(fields["symbol"]) in index_names
    is_future = fields.pop("category", "") == "FUT"
    if "strike" in fields:
        fields["category"] = "INDEX_OPT" if is_index else "STOCK_OPT"
    elif is_future:
        fields["category"] = "INDEX_FUT" if is_index else "STOCK_FUT"
    elif not is_index and "expiry" not in fields:
        fields["category"] = "NSE_EQ"
