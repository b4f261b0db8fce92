"""``propdesk brief`` and ``close``: what a day looks like before it begins, and what it came to (§5.2)."""

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from adapters.settings import Settings, load_settings
from cli.books import AccountOption
from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, rupees, say, show_table
from propdesk.core.calendar import ist_date, ist_text
from propdesk.core.money import format_inr

if TYPE_CHECKING:
    from adapters.db.repos.day_sheets import Brief, Close

_RULES_SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def brief(
        day: Annotated[
            str | None, typer.Argument(help="Market day; default: today, or the next one.")
        ] = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Say what a day looks like: readiness, positions and protection, rules, expiries, corpus."""
        from adapters.db.repos.day_sheets import read_brief
        from propdesk.model.enums import GateProfile

        settings = load_settings()
        chosen = _market_day(settings, day)
        with open_transaction(settings, "reader", "propdesk-brief") as connection:
            profile = GateProfile(settings.gate_profile)
            found = read_brief(connection, account or settings.account_id, chosen, profile)
        if as_json:
            emit({**asdict(found), "expiring_soon": found.expiring_soon, "unprotected": found.unprotected})
        else:
            _show_brief(found)

    @app.command()
    def close(
        day: Annotated[
            str | None, typer.Argument(help="Market day; default: today, or the one before.")
        ] = None,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Say what a day came to: slippage, ideas not traded by gate, unresolved names, the ledger."""
        from adapters.db.repos.day_sheets import read_close

        settings = load_settings()
        chosen = _market_day(settings, day, before=True)
        with open_transaction(settings, "reader", "propdesk-close") as connection:
            found = read_close(connection, account or settings.account_id, chosen)
        if as_json:
            emit({**asdict(found), "is_final": found.is_final})
        else:
            _show_close(found)


def _market_day(settings: Settings, stated: str | None, *, before: bool = False) -> date:
    """Give the day that was named, else today, or the market day nearest to it."""
    if stated is not None:
        return parse_day(stated, "DAY")
    from adapters.calendar import load_calendar
    from adapters.clock import SystemClock

    calendar, today = load_calendar(), ist_date(SystemClock().now_ns())
    if calendar.is_market_day(today):
        return today
    return calendar.previous_day(today) if before else calendar.next_day(today)


def _show_brief(found: "Brief") -> None:
    done = ", ".join(found.steps) or "none"
    state = "ready" if found.is_ready else f"NOT READY (steps done: {done})"
    say(f"{found.trade_date}, account {found.account_id}: {state}.")
    rules = "no rules are frozen yet"
    if found.ruleset_version is not None:
        rules = f"rules {found.ruleset_version[:12]} as of {found.as_of_date}"
    say(f"Regime of the market: {found.regime or 'unknown'}; {rules}.")
    if found.opening_corpus_paise is not None:
        say(f"Opening corpus {format_inr(found.opening_corpus_paise)} INR.")
    for level in found.levels:
        say(f"KILL LEVEL {level['level']} of {level['scope']}: {level['reason']} ({level['cause']}).")
    for one in found.unprotected:
        what = f"{one['held_quantity']} of {one['instrument_key']}"
        say(f"WITHOUT PROTECTION: trade {one['group_id'][:8]}, {what}.")
    for one in found.expiring_soon:
        say(f"Expires on {one['expiry']}: trade {one['group_id'][:8]} on {one['instrument_key']}.")
    _show_held(found)
    show_table(
        f"{len(found.switched)} rules switched (first {_RULES_SHOWN})",
        ("change", "rule", "gates"),
        [(one["change"], one["rule_text"], ", ".join(one["gates"])) for one in found.switched[:_RULES_SHOWN]],
    )
    show_table(
        f"Contracts that expire on {found.trade_date}",
        ("underlying", "category", "contracts"),
        [(one["underlying"], one["category"], one["contracts"]) for one in found.expiries],
    )
    show_table(
        "Corpus by pool, INR",
        ("pool", "total", "free", "deployed"),
        [
            (
                one["category"] + (" (adverse)" if one["is_adverse"] else ""),
                *(format_inr(one[name]) for name in ("total_paise", "free_paise", "deployed_paise")),
            )
            for one in found.pools
        ],
    )


def _show_held(found: "Brief") -> None:
    show_table(
        f"{len(found.held)} open trades, {len(found.pending)} entries wait",
        (
            "trade",
            "since",
            "carried",
            "advisor",
            "instrument",
            "side",
            "held",
            "stop",
            "planned risk",
            "expiry",
        ),
        [
            (
                one["group_id"][:8],
                ist_text(one["opened_ns"]),
                "yes" if one["is_carried"] else "",
                one["advisor_id"],
                one["instrument_key"],
                one["side"] + (" (reverse)" if one["is_reverse"] else ""),
                one["held_quantity"],
                rupees(one["lowest_stop_paise"]),
                rupees(one["planned_risk_paise"]),
                one["expiry"],
            )
            for one in found.held
        ],
    )


def _show_close(found: "Close") -> None:
    state = "final" if found.is_final else "not final, as some ideas are not verified yet"
    say(f"{found.trade_date}, account {found.account_id}: {state}.")
    show_table(
        "Fills against the prices asked (a gain is negative)",
        ("category", "legs", "with a price", "slippage INR", "in 1/100 %"),
        [
            (
                one["category"],
                one["legs"],
                one["legs_with_price"],
                rupees(one["slippage_paise"]),
                one["slippage_bps"],
            )
            for one in found.slippage
        ],
    )
    show_table(
        "Ideas that were not traded, by the gate that decided",
        ("gate", "ideas", "verified", "ended", "mean R", "at the desk's size, INR"),
        [
            (
                one["code"],
                one["ideas"],
                one["verified"],
                one["ended"],
                one["mean_r"],
                rupees(one["desk_net_pnl_paise"]) if one["ended"] else None,
            )
            for one in found.rejected
        ],
    )
    show_table(
        "Names that mean no tradable instrument",
        ("signal", "why", "what it said"),
        [(one["signal_id"][:8], one["code"], _said(one["document"])) for one in found.unresolved],
    )
    difference = found.ledger_paise - found.trades_paise
    say(
        f"Ledger {format_inr(found.ledger_paise)} INR, trades that ended {format_inr(found.trades_paise)} INR"
        + ("." if difference == 0 else f": THEY DIFFER by {format_inr(difference)} INR.")
    )
    say(f"{found.unanswered} orders without an answer, {found.carried} trades stay open.")


def _said(document: dict[str, Any]) -> str:
    words = (document.get(name) for name in ("symbol", "expiry", "strike", "option_type", "category"))
    return " ".join(str(word) for word in words if word)
