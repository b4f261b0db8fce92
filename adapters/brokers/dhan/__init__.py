"""Dhan: REST, order updates and market feed, spoken by ourselves (docs/decisions/0010)."""

from adapters.brokers.dhan.broker import DaySheet, DhanBroker, Remembered, WantedExit
from adapters.brokers.dhan.carried import CarriedOrder
from adapters.brokers.dhan.client import DhanClient
from adapters.brokers.dhan.config import DhanConfig, data_config, trading_config

__all__ = [
    "CarriedOrder",
    "DaySheet",
    "DhanBroker",
    "DhanClient",
    "DhanConfig",
    "Remembered",
    "WantedExit",
    "data_config",
    "trading_config",
]
