"""Commands of the daemon: ``trade``, ``replay``, ``premarket``, ``why``."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from adapters.clock import SystemClock
from adapters.log import configure_logging
from adapters.settings import Settings, load_settings
from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, result_console, rupees, say, show_table
from propdesk.core.calendar import ist_date, ist_text
from propdesk.core.errors import ConfigFault
from propdesk.core.money import format_inr

SPEED_MAX: Final = "max"
_SignalsOption = Annotated[
    Path | None, typer.Option("--signals", help="Signals of the day: JSON lines, JSON array or CSV.")
]
_SpeedOption = Annotated[
    str, typer.Option("--speed", help="'max', or how many times faster than the real day.")
]
_FreshOption = Annotated[bool, typer.Option("--fresh", help="Forget an earlier replay of the day first.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def trade(
        replay: Annotated[
            str | None, typer.Option("--replay", help="Replay this past day on the account, e.g. 2025-07-01.")
        ] = None,
        signals: _SignalsOption = None,
        speed: _SpeedOption = SPEED_MAX,
        fresh: _FreshOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Run the trading daemon until it is stopped; with --replay, through a past day."""
        settings = load_settings()
        _log_to_stderr(settings)
        if replay is None:
            from trading_daemon.main import run_daemon

            result = run_daemon(settings)
            say(f"Stopped after {result.journal_rows} journal rows.")
            return
        day = parse_day(replay, "--replay")
        _replay(settings, day, signals, speed, fresh=fresh, as_json=as_json)

    @app.command(name="replay")
    def replay_day(
        day: Annotated[str, typer.Argument(help="A past market day, e.g. 2025-06-12.")],
        signals: _SignalsOption = None,
        speed: _SpeedOption = SPEED_MAX,
        fresh: _FreshOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Replay a past day through the real daemon code, on an account of its own."""
        from trading_daemon.session import replay_account

        settings = load_settings()
        _log_to_stderr(settings, quiet=True)
        trade_date = parse_day(day, "DAY")
        own = settings.model_copy(update={"account_id": replay_account(trade_date)})
        _replay(own, trade_date, signals, speed, fresh=fresh, as_json=as_json)

    @app.command()
    def premarket(
        step: Annotated[str, typer.Argument(help="token, scrip, symbols, regime, corpus, or all.")],
        day: Annotated[
            str | None, typer.Option("--day", help="Market day; default: today or the next one.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Run one step of pre-market (08:45 IST), or all five."""
        _premarket(load_settings(), step, day, as_json=as_json)

    @app.command()
    def why(
        signal_id: Annotated[
            str, typer.Argument(help="Id, or its beginning, as decisions and trades show it.")
        ],
        account: Annotated[
            str | None, typer.Option("--account", help="Default: the account of the settings.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Explain what became of a signal and why."""
        settings = load_settings()
        found = _explain(settings, account or settings.account_id, signal_id)
        if as_json:
            emit(found)
        else:
            _show_explanation(found)


def _log_to_stderr(settings: Settings, *, quiet: bool = False) -> None:
    level = "warning" if quiet and settings.log_level == "info" else settings.log_level
    configure_logging("daemon", SystemClock(), level=level, secrets=settings.secret_values())


def _pace(speed: str) -> float | None:
    if speed == SPEED_MAX:
        return None
    try:
        pace = float(speed)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):
        raise ConfigFault(f"--speed: {speed!r} is neither 'max' nor a number above 0.")
    return pace


def _replay(
    settings: Settings, day: date, signals: Path | None, speed: str, *, fresh: bool, as_json: bool
) -> None:
    from adapters.db.repos.report import read_day_report
    from trading_daemon.main import run_daemon
    from trading_daemon.session import ensure_ready, plan_replay
    from trading_daemon.signal_files import read_signal_file

    pace = _pace(speed)
    documents = None if signals is None else read_signal_file(signals)
    plan = plan_replay(settings, day, documents, fresh=fresh)
    ready = ensure_ready(settings, day)
    say(f"Replaying {day} on account {settings.account_id}, rules {ready.ruleset_version}.")
    result = run_daemon(settings, day, plan, pace)
    with open_transaction(settings, "daemon", "propdesk-report") as connection:
        report = read_day_report(connection, settings.account_id, day)
    if not result.is_done:
        say("Stopped before the day's end; the same command goes on where it stopped.")
    if as_json:
        emit(report_json(report, is_done=result.is_done))
    else:
        show_report(report)


def report_json(report: Any, *, is_done: bool) -> dict[str, object]:
    """Turn a `DayReport` into one JSON object; money in rupees."""
    return {
        "account_id": report.account_id,
        "trade_date": report.trade_date,
        "is_done": is_done,
        "signals": report.signals,
        "rejected_documents": report.rejected_documents,
        "decisions": dict(report.decisions),
        "trades": [
            {
                "signal_id": t.signal_id,
                "advisor_id": t.advisor_id,
                "instrument": t.instrument_key,
                "side": t.side,
                "leg": t.leg_number,
                "quantity": t.quantity,
                "entry": t.entry_paise / 100,
                "exit": None if t.exit_paise is None else t.exit_paise / 100,
                "exit_reason": t.exit_reason,
                "net_pnl": None if t.net_pnl_paise is None else t.net_pnl_paise / 100,
                "is_reverse": t.is_reverse,
                "rule": t.rule_text,
            }
            for t in report.trades
        ],
        "gross_pnl": report.gross_pnl_paise / 100,
        "charges": report.charges_paise / 100,
        "net_pnl": report.net_pnl_paise / 100,
        "corpus": None if report.corpus_paise is None else report.corpus_paise / 100,
        "crowd": [
            {
                "underlying": c.underlying,
                "bullish": c.bullish_open,
                "bearish": c.bearish_open,
                "opened": c.opened,
            }
            for c in report.crowd
        ],
        "journal_rows": report.journal_rows,
        "journal_hash": report.journal_hash,
    }


def show_report(report: Any, *, most_trades: int | None = None) -> None:
    """Print a `DayReport`: decisions by reason, trades (at most ``most_trades`` legs), result, crowd."""
    show_table(
        f"Decisions of {report.trade_date} ({report.signals} signals)",
        ("reason", "signals"),
        report.decisions,
    )
    show_table(
        f"Trades ({len(report.trades)} legs)",
        ("signal", "advisor", "instrument", "side", "leg", "quantity", "entry", "exit", "reason", "net INR"),
        [
            (
                t.signal_id[:8],
                t.advisor_id,
                t.instrument_key,
                t.side + (" (reverse)" if t.is_reverse else ""),
                t.leg_number,
                t.quantity,
                format_inr(t.entry_paise),
                rupees(t.exit_paise),
                t.exit_reason or "open",
                rupees(t.net_pnl_paise),
            )
            for t in report.trades[:most_trades]
        ],
    )
    if most_trades is not None and len(report.trades) > most_trades:
        say(f"{len(report.trades) - most_trades} more legs stand in trading.executed_trades.")
    show_table(
        "Crowd (most followed underlyings)",
        ("underlying", "bullish open", "bearish open", "opened"),
        [(c.underlying, c.bullish_open, c.bearish_open, c.opened) for c in report.crowd[:10]],
    )
    console = result_console()
    console.print(
        f"P&L gross {format_inr(report.gross_pnl_paise)}, charges {format_inr(report.charges_paise)}, "
        f"net {format_inr(report.net_pnl_paise)} INR"
    )
    console.print(f"Journal: {report.journal_rows} rows, hash {report.journal_hash}")


def _premarket(settings: Settings, step: str, day: str | None, *, as_json: bool) -> None:
    from adapters.calendar import load_calendar
    from trading_daemon.premarket import STEPS
    from trading_daemon.session import premarket

    if step != "all" and step not in STEPS:
        raise ConfigFault(f"There is no pre-market step {step!r}: use one of {', '.join(STEPS)}, or all.")
    _log_to_stderr(settings, quiet=True)
    calendar = load_calendar()
    today = ist_date(SystemClock().now_ns())
    if day is not None:
        trade_date = parse_day(day, "--day")
    else:
        trade_date = today if calendar.is_market_day(today) else calendar.next_day(today)
    record = premarket(settings, trade_date, STEPS if step == "all" else (step,))
    if as_json:
        emit({"trade_date": trade_date, "is_ready": record.is_ready, "steps": record.steps})
        return
    show_table(
        f"Pre-market of {trade_date}, account {settings.account_id}",
        ("step", "found"),
        [(name, _short(record.steps.get(name))) for name in STEPS],
    )
    say("Ready." if record.is_ready else "Not ready yet: steps without a result are still to be run.")


def _short(found: Mapping[str, object] | None) -> str:
    if found is None:
        return "–"
    return ", ".join(f"{name} {value}" for name, value in found.items() if name != "done_at")


def _explain(settings: Settings, account_id: str, signal_id: str) -> dict[str, Any]:
    from adapters.db.repos.report import explain_signal

    with open_transaction(settings, "reader", "propdesk-why") as connection:
        return explain_signal(connection, account_id, signal_id)


def _show_explanation(found: dict[str, Any]) -> None:
    from trading_daemon.words import explain_code

    console = result_console()
    for row in found["documents"]:
        console.print(
            f"Signal {found['signal_id']} (revision {row['revision']}), received "
            f"{ist_text(row['received_ns'])}"
        )
        console.print(f"    {idea_text(row['document'])}", markup=False)
        if row["rejected_text"]:
            console.print(f"    not readable: {row['rejected_text']}", markup=False)
    for decision in found["decisions"]:
        console.print(
            f"{ist_text(decision['decided_ns'])}  {decision['code']}: {explain_code(decision['code'])}"
        )
        if decision["detail"]:
            console.print(f"    {decision['detail']}", markup=False)
        console.print(
            f"    rules {decision['ruleset_version']}, regime {decision['regime'] or 'unknown'}", markup=False
        )
        if decision["candidates"]:
            show_table(
                "Rules looked at",
                ("rule", "outcome", "trades", "post_mean_r", "prob_edge", "failed gates"),
                [
                    (
                        c["rule_text"],
                        c["outcome"],
                        c["n"],
                        c["post_mean_r"],
                        c["prob_edge"],
                        ", ".join(c["failed_gates"]),
                    )
                    for c in decision["candidates"]
                ],
            )
    if not found["decisions"]:
        console.print("No decision yet.")
    _show_orders(found)


def idea_text(document: Mapping[str, Any]) -> str:
    """Write an advisor's idea on one line, in the advisor's own figures (INR).

    Parameters
    ----------
    document : mapping
        As received; what is missing is left out, but a missing stop or target is named.

    Returns
    -------
    str
        Advisor, side, contract, entry, stop, targets, period.
    """

    def said(*names: str) -> str:
        return " ".join(str(document[name]) for name in names if document.get(name) not in (None, ""))

    low, high = said("entry_low"), said("entry_high")
    entry = low if high in ("", low) else f"{low} to {high}"
    parts = [
        said("side", "category", "symbol", "expiry", "strike", "option_type"),
        f"{said('entry_type')} {entry}".strip(),
        f"stop {said('stoploss')}" if said("stoploss") else "no stop",
        f"targets {said('targets')}" if said("targets") else "no target",
        said("period"),
    ]
    return f"{said('advisor_id')}: " + ", ".join(part for part in parts if part)


def order_state(intent: Mapping[str, Any], legs: Iterable[Mapping[str, Any]]) -> str:
    """Say what became of an order: one the broker took works until its leg is over.

    The intent keeps the broker's answer, whatever happens to the order afterwards.
    """
    key = (intent["group_id"], intent["leg_number"])
    is_over = any(
        (leg["group_id"], leg["leg_number"]) == key and leg["state"] in ("CLOSED", "CANCELLED")
        for leg in legs
    )
    return "DONE" if is_over and intent["state"] == "WORKING" else str(intent["state"])


def _show_orders(found: dict[str, Any]) -> None:
    if found["groups"]:
        show_table(
            "Legs",
            ("leg", "state", "quantity", "filled", "stop", "target", "exit"),
            [
                (
                    leg["leg_number"],
                    leg["state"],
                    leg["quantity"],
                    leg["filled_quantity"],
                    rupees(leg["stop_paise"]),
                    rupees(leg["target_paise"]),
                    leg["exit_reason"],
                )
                for leg in found["legs"]
            ],
        )
        show_table(
            "Orders",
            ("at", "kind", "leg", "state", "broker order", "reason"),
            [
                (
                    ist_text(i["prepared_ns"]),
                    i["kind"],
                    i["leg_number"],
                    order_state(i, found["legs"]),
                    (i["broker_order_id"] or "")[:13],
                    i["reason"],
                )
                for i in found["intents"]
            ],
        )
    if found["trades"]:
        show_table(
            "Fills",
            ("leg", "quantity", "entry", "at", "exit", "at", "reason", "net INR"),
            [
                (
                    t["leg_number"],
                    t["quantity"],
                    rupees(t["entry_paise"]),
                    ist_text(t["entry_ns"]),
                    rupees(t["exit_paise"]),
                    None if t["exit_ns"] is None else ist_text(t["exit_ns"]),
                    t["exit_reason"],
                    rupees(t["net_pnl_paise"]),
                )
                for t in found["trades"]
            ],
        )
