"""``propdesk sandbox``: a local broker that speaks Dhan's wire formats, and the means to disturb it."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.output import JsonOption, NotRunning, emit, parse_day, say, show_table
from propdesk.core.errors import ConfigFault

if TYPE_CHECKING:
    from sandbox.world import World

PLACE: Final = "127.0.0.1:7080"
_TIMEOUT_S: Final = 10.0
_At = Annotated[str, typer.Option("--at", help="host:port of the running sandbox.")]
_Words = Annotated[list[str] | None, typer.Argument(help="name=value …")]


def register(app: typer.Typer) -> None:
    """Add the commands of this area."""
    sandbox = typer.Typer(no_args_is_help=True, help="A local broker with Dhan's formats, and its faults.")
    sandbox.command("run")(run)
    sandbox.command("status")(status)
    sandbox.command("clock")(clock)
    sandbox.command("tick")(tick)
    sandbox.command("fault")(fault)
    sandbox.command("faults")(faults)
    sandbox.command("act")(act)
    sandbox.command("ledger")(ledger)
    app.add_typer(sandbox, name="sandbox")


def run(
    day: Annotated[str, typer.Option("--day", help="Market day whose stored prices are traded.")],
    start: Annotated[str, typer.Option("--start", help="Simulated time at the start, IST.")] = "09:00",
    speed: Annotated[
        float, typer.Option("--speed", help="Simulated seconds per second; 0 = moved by hand.")
    ] = 1.0,
    store: Annotated[
        str, typer.Option("--store", help="Price store; the one of the settings by default.")
    ] = "",
    script: Annotated[
        Path | None, typer.Option("--script", help="JSON lines of at_s, key, price instead of stored prices.")
    ] = None,
    master: Annotated[
        str, typer.Option("--master", help="Scrip master with the day's security ids; made up without one.")
    ] = "",
    knobs: Annotated[
        Path | None, typer.Option("--knobs", help="JSON object: behaviour where Dhan's is open.")
    ] = None,
    ledger_file: Annotated[
        Path | None, typer.Option("--ledger", help="Write the truth here as well, JSON lines.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 = any free one.")] = 7080,
) -> None:
    """Serve until Ctrl-C; prints the settings that point the adapter at it."""
    import asyncio

    world = _world(day, start, store, script, master, knobs, ledger_file)
    asyncio.run(_serve(world, speed, port))


async def _serve(world: "World", speed: float, port: int) -> None:
    import asyncio

    from adapters.settings import ENV_PREFIX
    from sandbox.server import Sandbox, addresses

    async with Sandbox(world, speed=speed).serving(port=port) as place:
        say(f"The sandbox serves {sum(1 for _ in world.catalogue)} securities at {place}. Ctrl-C ends it.")
        own = {
            "dhan_client_id": world.knobs.client_id,
            "dhan_pin": world.knobs.pin,
            "dhan_totp_secret": world.knobs.totp_secret,
        }
        for name, value in (addresses(place) | own).items():
            say(f"{ENV_PREFIX}{name.upper()}={value}")
        await asyncio.Event().wait()


def _world(
    day: str,
    start: str,
    store: str,
    script: Path | None,
    master: str,
    knobs: Path | None,
    ledger_file: Path | None,
) -> "World":
    from datetime import timedelta

    from adapters.instruments import read_instrument_file
    from adapters.settings import load_settings
    from adapters.ticks.store import ParquetPriceStore
    from propdesk.core.calendar import ist_to_ns
    from sandbox.catalogue import catalogue_of_keys
    from sandbox.knobs import Knobs, knobs_from
    from sandbox.market import ticks_of_script, ticks_of_store
    from sandbox.world import make_world

    market_day = parse_day(day, "--day")
    try:
        now_ns = ist_to_ns(datetime.fromisoformat(f"{day}T{start}"))
    except (ValueError, AssertionError):
        raise ConfigFault(f"--start: {start!r} is no time; write it like 09:15.") from None
    prices = ParquetPriceStore(store or load_settings().price_store_url)
    if script is not None:
        ticks = ticks_of_script(_json_lines(script), now_ns)
        keys = sorted({one.price_key for one in ticks})
    else:
        keys = sorted({*prices.symbols("minute", market_day), *prices.symbols("tick", market_day)})
        if not keys:
            raise ConfigFault(f"The price store {prices.url} holds nothing of {day}; import it first.")
        ticks = [one for one in ticks_of_store(prices, keys, market_day) if one.ts_ns >= now_ns]
    last_week = prices.daily_bars(keys, market_day - timedelta(days=10), market_day - timedelta(days=1))
    listed = read_instrument_file(master, market_day).instruments if master else ()
    return make_world(
        catalogue_of_keys(keys, market_day, master=listed),
        now_ns,
        knobs=Knobs() if knobs is None else knobs_from(_json_object(knobs)),
        ticks=ticks,
        previous_close={key: int(bars.close_paise[-1]) for key, bars in last_week.items()},
        history=prices,
        ledger_path=ledger_file,
    )


def status(at: _At = PLACE, as_json: JsonOption = False) -> None:
    """Show simulated time, orders, fills and the truth's digest."""
    _show(control(at, "GET", "/status"), "Sandbox", as_json=as_json)


def clock(words: _Words = None, at: _At = PLACE, as_json: JsonOption = False) -> None:
    """Move time: advance_s=60, to_ns=…, or set speed=10."""
    _show(control(at, "POST", "/clock", _pairs(words)), "Sandbox", as_json=as_json)


def tick(
    key: Annotated[str, typer.Argument(help="Price key, e.g. NSE_EQ:TCS.")],
    price: Annotated[str, typer.Argument(help="Rupees.")],
    at: _At = PLACE,
) -> None:
    """Let a price be traded now."""
    control(at, "POST", "/tick", {"key": key, "price": price})
    say(f"{key} traded at {price}.")


def fault(
    kind: Annotated[str, typer.Argument(help="E.g. TIME_OUT, LATE_ACCEPT, STREAM_DROP; 'none' disarms all.")],
    words: _Words = None,
    at: _At = PLACE,
) -> None:
    """Arm a fault, with words of its kind.

    E.g. count=3 share=0.1 path=/super/orders method=POST effect=true delay_s=10.
    """
    if kind.lower() == "none":
        control(at, "DELETE", "/faults")
        say("No fault is armed.")
        return
    control(at, "POST", "/faults", {"kind": kind, **_pairs(words)})
    say(f"{kind.upper()} is armed.")


def faults(at: _At = PLACE, as_json: JsonOption = False) -> None:
    """Show what is armed and how often each fault has struck."""
    found = control(at, "GET", "/faults")
    if as_json:
        emit(found)
        return
    armed = {row["kind"]: row["count"] for row in found["armed"]}
    rows = [(kind, armed.get(kind, ""), hits) for kind, hits in found["hits"].items()]
    show_table("Faults", ("kind", "armed", "struck"), rows)


def act(
    what: Annotated[
        str,
        typer.Argument(
            help="token_revoke, square_off, manual_order, manual_cancel, restart, disconnect or token."
        ),
    ],
    words: _Words = None,
    at: _At = PLACE,
) -> None:
    """Do something at once, with words of its own.

    E.g. manual_order key=NSE_EQ:TCS side=BUY quantity=1 price=100, or restart lose_transit=true.
    """
    say(str(control(at, "POST", "/act", {"what": what, **_pairs(words)})["done"]))


def ledger(
    after: Annotated[int, typer.Option("--after", min=0, help="Rows to leave out.")] = 0,
    at: _At = PLACE,
    as_json: JsonOption = False,
) -> None:
    """Show the truth: everything that happened at the exchange, in order."""
    found = control(at, "GET", f"/ledger?after={after}")
    if as_json:
        emit(found)
        return
    rows = [
        (row["seq"], row["ts_ns"], row["what"], json.dumps(row["detail"], sort_keys=True))
        for row in found["rows"]
    ]
    show_table("Truth", ("row", "ns UTC", "what", "detail"), rows)


def control(at: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Speak to the control interface of the sandbox at ``host:port``.

    Raises
    ------
    NotRunning
        If none answers there.
    ConfigFault
        If it refuses.
    """
    import httpx

    try:
        answer = httpx.request(
            method, f"http://{at}/_control{path}", json=body, timeout=_TIMEOUT_S, trust_env=False
        )
        found = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise NotRunning(f"No sandbox answers at {at}; start one with `propdesk sandbox run`.") from None
    if answer.status_code >= 400:
        raise ConfigFault(str(found.get("error", "The sandbox refused.")))
    return dict(found)


def _pairs(words: list[str] | None) -> dict[str, Any]:
    """Read name=value words; values are JSON where they can be, else text."""
    found: dict[str, Any] = {}
    for word in words or ():
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise ConfigFault(f"{word!r} is no name=value.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _json_lines(path: Path) -> list[dict[str, object]]:
    try:
        return [
            dict(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()
        ]
    except (OSError, ValueError, TypeError) as error:
        raise ConfigFault(f"{path} is no readable JSON lines file ({error}).") from None


def _json_object(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigFault(f"{path} is no readable JSON object ({error}).") from None


def _show(found: dict[str, Any], title: str, *, as_json: bool) -> None:
    if as_json:
        emit(found)
    else:
        show_table(title, ("what", "value"), list(found.items()))
