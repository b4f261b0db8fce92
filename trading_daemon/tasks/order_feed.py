"""Broker updates → events; they may be lost, repeated or reordered, the reducer does not mind (§5.7)."""

from propdesk.ports import Broker
from trading_daemon.bus import Bus, Envelope


class OrderFeed:
    """Passes every fact the broker tells on to the decider.

    Parameters
    ----------
    delivered : int
        Facts that are journalled already (after a restart).

    Attributes
    ----------
    heard : set of str
        Facts the decider was told at the start, before anything else; they are not passed on again.
    """

    def __init__(self, bus: Bus, broker: Broker, *, delivered: int = 0) -> None:
        self._bus = bus
        self._broker = broker
        self.delivered = delivered
        self.heard: set[str] = set()

    async def run(self) -> None:
        """Listen until cancelled."""
        async for update in self._broker.updates():
            if update.update_id not in self.heard:
                await self._bus.events.put(Envelope((update,)))
            self.delivered += 1
            self._bus.pulse.beat()
