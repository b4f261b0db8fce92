"""``propdesk positions``, ``orders`` and ``tail``: what the desk holds, asks and says."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final

import typer

from adapters.settings import load_settings
from cli.database import open_transaction
from cli.output import JsonOption, emit, parse_day, result_console, rupees, show_table
from propdesk.core.calendar import ist_text

AccountOption = Annotated[str | None, typer.Option("--account", help="Default: the account of the settings.")]
_OPEN_STATES: Final = ("PREPARED", "SENT", "UNKNOWN", "WORKING")
_LOOK_S: Final = 2.0
_UNSETTLED_S: Final = 0.1
_BATCH: Final = 500


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def positions(account: AccountOption = None, as_json: JsonOption = False) -> None:
        """Show every leg that is held or waits to enter, with its stop and target."""
        from adapters.db.repos.books import read_positions

        settings = load_settings()
        account_id = account or settings.account_id
        with open_transaction(settings, "reader", "propdesk-positions") as connection:
            found = read_positions(connection, account_id)
        if as_json:
            emit({"account_id": account_id, "positions": found})
        else:
            _show_positions(account_id, found)

    @app.command()
    def orders(
        day: Annotated[
            str | None, typer.Option("--day", help="Market day; default: the newest with an order.")
        ] = None,
        only_open: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show what was asked of the broker on a day, and its answers."""
        from adapters.db.repos.books import newest_order_day, read_orders

        settings = load_settings()
        account_id = account or settings.account_id
        with open_transaction(settings, "reader", "propdesk-orders") as connection:
            chosen = newest_order_day(connection, account_id) if day is None else parse_day(day, "--day")
            found = [] if chosen is None else read_orders(connection, account_id, chosen)
        if only_open:
            found = [order for order in found if order["state"] in _OPEN_STATES]
        if as_json:
            emit({"account_id": account_id, "trade_date": chosen, "orders": found})
        else:
            _show_orders(account_id, chosen, found)

    @app.command()
    def tail(
        count: Annotated[
            int, typer.Option("--count", "-n", min=0, help="Events before the first new one.")
        ] = 10,
        follow: Annotated[bool, typer.Option(help="Stay and show what comes, until Ctrl-C.")] = True,
        account: AccountOption = None,
        as_json: JsonOption = False,
    ) -> None:
        """Show the newest events of the desk and follow them; --json prints one object per event."""
        for event in _events(account, count, follow=follow):
            if as_json:
                emit(event)
            else:
                result_console().print(_line(event), markup=False, soft_wrap=True)


def _events(account: str | None, count: int, *, follow: bool) -> Iterator[dict[str, Any]]:
    from adapters.db.engine import listening
    from adapters.db.repos.events import CHANNEL, Horizon, behind_newest, read_events

    settings = load_settings()
    account_id = account or settings.account_id
    horizon = Horizon(account_id)
    with listening(settings.database_url("reader"), "propdesk-tail", CHANNEL) as connection:
        after = behind_newest(connection, account_id, count)
        while True:
            until, is_more_to_come = horizon.look(connection)
            rows = read_events(connection, account_id, after, until, _BATCH)
            for row in rows:
                after = row["event_id"]
                yield row
            if len(rows) == _BATCH:
                continue
            if not follow and not is_more_to_come:
                return
            wait_s = _UNSETTLED_S if is_more_to_come else _LOOK_S
            for _ in connection.notifies(timeout=wait_s, stop_after=1):
                pass


def _line(event: dict[str, Any]) -> str:
    return f"{ist_text(event['event_ns'])}  {event['severity']:<8}  {event['kind']}: {event['message']}"


def _show_positions(account_id: str, found: list[dict[str, Any]]) -> None:
    show_table(
        f"{len(found)} legs of account {account_id}, held or waiting",
        (
            "trade",
            "leg",
            "advisor",
            "instrument",
            "side",
            "held",
            "waiting",
            "entry",
            "stop",
            "target",
            "since",
        ),
        [
            (
                leg["group_id"][:8],
                leg["leg_number"],
                leg["advisor_id"],
                leg["instrument_key"],
                leg["side"] + (" (reverse)" if leg["is_reverse"] else ""),
                leg["held_quantity"],
                leg["waiting_quantity"],
                rupees(leg["entry_paise"]),
                rupees(leg["stop_paise"]),
                rupees(leg["target_paise"]),
                None if leg["entry_ns"] is None else ist_text(leg["entry_ns"]),
            )
            for leg in found
        ],
    )


def _show_orders(account_id: str, day: date | None, found: list[dict[str, Any]]) -> None:
    show_table(
        f"{len(found)} orders of account {account_id}" + ("" if day is None else f" on {day}"),
        ("at", "kind", "trade", "leg", "instrument", "side", "quantity", "state", "broker order", "reason"),
        [
            (
                ist_text(order["prepared_ns"]),
                order["kind"],
                order["group_id"][:8],
                order["leg_number"],
                order["instrument_key"],
                order["side"],
                order["quantity"],
                order["state"],
                (order["broker_order_id"] or "")[:13],
                order["reason"],
            )
            for order in found
        ],
    )
