"""Paper broker: the simulated exchange with a memory of its own."""

from adapters.brokers.paper.broker import PaperBroker

__all__ = ["PaperBroker"]
