"""``propdesk reconcile --against-sandbox``: our books of a day beside the sandbox's truth."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import typer

from adapters.settings import Settings, load_settings
from cli.database import open_transaction
from cli.output import EXIT_FAILURE, JsonOption, emit, parse_day, say, show_table
from cli.sandbox import PLACE, control
from propdesk.core.errors import ConfigFault
from propdesk.core.ids import split_guard_id
from propdesk.core.money import price_to_paise

_NOTHING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Line:
    """One leg: units and average price (paise) of entry and exit, in our books and in truth."""

    name: str
    instrument: str
    ours: tuple[int, int, int, int]
    truth: tuple[int, int, int, int]

    @property
    def is_equal(self) -> bool:
        """Whether both say the same."""
        return self.ours == self.truth

    def __str__(self) -> str:
        return f"{self.name} {self.instrument}: ours {self.ours}, the sandbox's {self.truth}"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def reconcile(
        day: Annotated[str, typer.Argument(help="Market day, e.g. 2025-07-01.")],
        against_sandbox: Annotated[
            bool, typer.Option("--against-sandbox", help="Compare with a running sandbox's truth.")
        ] = False,
        at: Annotated[str, typer.Option("--at", help="host:port of the sandbox.")] = PLACE,
        account: Annotated[
            str | None, typer.Option("--account", help="Default: the account of the settings.")
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Compare the books of a day with the broker's, line by line; 1 where a line differs."""
        if not against_sandbox:
            raise ConfigFault("This version compares with a sandbox only: add --against-sandbox.")
        settings = load_settings()
        lines = read_lines(settings, account or settings.account_id, parse_day(day, "DAY"), at)
        wrong = differences(lines)
        if as_json:
            emit({"legs": [_plain(line) for line in lines], "differences": len(wrong)})
        else:
            _show(lines)
            say(f"{len(lines)} filled legs, {len(wrong)} of them differ.")
        raise typer.Exit(EXIT_FAILURE if wrong else 0)


def read_lines(settings: Settings, account_id: str, day: date, at: str) -> list[Line]:
    """Read both sides of a day's filled legs.

    Raises
    ------
    NotRunning
        If no sandbox answers at ``at``.
    """
    from adapters.db.repos.report import read_filled_legs

    with open_transaction(settings, "reader", "propdesk-reconcile") as connection:
        ours = read_filled_legs(connection, account_id, day)
    book = control(at, "GET", "/book")
    legs = {name: leg.group for leg in ours for name in leg.correlation_ids}
    truth = truth_by_leg(book["orders"], book["fills"], legs)
    lines = {
        leg.group: Line(
            leg.group,
            leg.instrument_key,
            (leg.quantity, leg.entry_paise, leg.exited_quantity, leg.exit_paise or 0),
            truth.get(leg.group, _NOTHING),
        )
        for leg in ours
    }
    unknown = {name: Line(name, "", _NOTHING, sides) for name, sides in truth.items() if name not in lines}
    return [*lines.values(), *unknown.values()]


def truth_by_leg(
    orders: Iterable[Mapping[str, Any]], fills: Iterable[Mapping[str, Any]], legs: Mapping[str, str]
) -> dict[str, tuple[int, int, int, int]]:
    """Sum the sandbox's fills by our legs.

    Parameters
    ----------
    orders, fills : iterables of mapping
        As the sandbox's control interface gives them.
    legs : mapping of str to str
        Our leg of each correlation id; guards count to it, what none carries stands under its own name.

    Returns
    -------
    dict of str to tuple
        Units and average price (paise, halves up) of entry and exit.
    """
    known = {str(row["orderId"]): row for row in orders}
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for fill in fills:
        order = known[str(fill["orderId"])]
        tag = str(order["correlationId"])
        place = 0 if order["legName"] == "ENTRY_LEG" else 2
        row = sums[legs.get(split_guard_id(tag)[0], f"{tag} {order['orderId']}")]
        row[place] += int(fill["tradedQuantity"])
        row[place + 1] += int(fill["tradedQuantity"]) * price_to_paise(str(fill["tradedPrice"]))
    return {name: (a, _average(b, a), c, _average(d, c)) for name, (a, b, c, d) in sums.items()}


def _average(money: int, units: int) -> int:
    return (2 * money + units) // (2 * units) if units else 0


def differences(lines: Sequence[Line]) -> list[Line]:
    """Give the lines that differ."""
    return [line for line in lines if not line.is_equal]


def _plain(line: Line) -> dict[str, object]:
    return {
        "leg": line.name,
        "instrument": line.instrument,
        "ours": list(line.ours),
        "sandbox": list(line.truth),
        "is_equal": line.is_equal,
    }


def _show(lines: Sequence[Line]) -> None:
    names = ("leg", "instrument", "units", "entry", "closed", "exit", "truth", "entry", "closed", "exit", "")
    rows = []
    for line in lines:
        sides = [
            value if place % 2 == 0 else value / 100
            for both in (line.ours, line.truth)
            for place, value in enumerate(both)
        ]
        rows.append((line.name, line.instrument, *sides, "equal" if line.is_equal else "DIFFERS"))
    show_table("Our books and the sandbox's truth", names, rows)
