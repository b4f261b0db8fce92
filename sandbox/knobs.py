"""Every open point of the broker's behaviour as a setting with a default, fixed while a sandbox lives."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from propdesk.core.errors import ConfigFault


@dataclass(frozen=True, slots=True)
class Knobs:
    """How the sandbox behaves where Dhan's behaviour is open, and whose account it plays.

    Attributes
    ----------
    seed : int
        Drives every draw of a fault.
    client_id, pin, totp_secret : str
        The account; they guard nothing.
    token_life_s : int
        Life of a token.
    token_renewable : bool
        Whether ``/RenewToken`` works; the old token dies with it.
    shapes : {"observed", "documented"}
        One order comes as an array of one with sentinels, or as an object with nulls.
    alert_keys : {"camel", "pascal"}
        Case of the keys of order updates.
    leg_ids : {"own", "parent"}
        Whether the order of an exit leg has an id of its own or the entry's.
    transit_ms : int
        From acceptance to the exchange.
    exits_guard_partial_entry : bool
        Exits act for what has filled while the entry still fills.
    target_may_cross : bool
        A target may be moved to a marketable price; otherwise DH-906.
    cancel_filled_entry_drops_exits : bool
        Cancelling the entry of a filled super order cancels both exits and leaves the position bare.
    count_super_modifications : bool
        Super-order changes count to ``modifications_max``.
    modifications_max : int
        Changes of one order.
    unique_correlation_ids : bool
        Refuse a second order of one correlation id; the worst case is False.
    check_ip, allowed_ips : bool, tuple of str
        Refuse writes from other addresses.
    market_protection : bool
        Market orders become limits with protection.
    price_band_bp : int
        Width of the price band around the previous close, basis points.
    square_off_minute, close_minute : int
        IST minute of the day of the broker's square-off and of the end of day orders; 0 = never.
    packets_per_frame : int
        Packets packed into one feed frame; the official client reads only the first.
    feed_stamps : {"ist", "utc"}
        Last-trade times as IST wall-clock seconds, or true epochs.
    ping_s, pong_s : float
        Keep-alive of the WebSockets.
    funds_paise : int
        Money at the start.
    rate_limits : bool
        Enforce the limits below.
    orders_per_second, orders_per_minute, orders_per_hour, orders_per_day : int
    data_per_second, quotes_per_second, reads_per_second : int
    chain_interval_ms : int
        Limits, the stricter of both published ones.
    """

    seed: int = 7
    client_id: str = "1000000001"
    pin: str = "123456"
    totp_secret: str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"  # noqa: S105 - guards a simulation
    token_life_s: int = 86_400
    token_renewable: bool = True
    shapes: Literal["observed", "documented"] = "observed"
    alert_keys: Literal["camel", "pascal"] = "camel"
    leg_ids: Literal["own", "parent"] = "own"
    transit_ms: int = 100
    exits_guard_partial_entry: bool = True
    target_may_cross: bool = True
    cancel_filled_entry_drops_exits: bool = True
    count_super_modifications: bool = True
    modifications_max: int = 25
    unique_correlation_ids: bool = False
    check_ip: bool = False
    allowed_ips: tuple[str, ...] = ("127.0.0.1",)
    market_protection: bool = True
    price_band_bp: int = 1_000
    square_off_minute: int = 15 * 60 + 20
    close_minute: int = 15 * 60 + 30
    packets_per_frame: int = 1
    feed_stamps: Literal["ist", "utc"] = "ist"
    ping_s: float = 10.0
    pong_s: float = 40.0
    funds_paise: int = 1_000_000_000
    rate_limits: bool = True
    orders_per_second: int = 10
    orders_per_minute: int = 250
    orders_per_hour: int = 1_000
    orders_per_day: int = 7_000
    data_per_second: int = 5
    quotes_per_second: int = 1
    reads_per_second: int = 20
    chain_interval_ms: int = 3_000


def knobs_from(values: Mapping[str, Any]) -> Knobs:
    """Build knobs from plain JSON values.

    Raises
    ------
    ConfigFault
        If a name is unknown or a value has the wrong type.
    """
    hints = get_type_hints(Knobs)
    known = {one.name: one.default for one in dataclasses.fields(Knobs)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigFault(f"The sandbox has no knob {', '.join(unknown)}; it has {', '.join(sorted(known))}.")
    chosen: dict[str, Any] = {}
    for name, value in values.items():
        given = tuple(value) if isinstance(value, list) else value
        choices = getattr(hints[name], "__args__", ()) if isinstance(known[name], str) else ()
        is_typed = type(given) is type(known[name]) or (isinstance(known[name], float) and type(given) is int)
        if not is_typed or (choices and given not in choices):
            raise ConfigFault(f"The knob {name} cannot be {value!r}; its default is {known[name]!r}.")
        chosen[name] = given
    return Knobs(**chosen)
