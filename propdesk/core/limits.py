"""Every upper bound of the domain, each with its reason."""

PRICE_PAISE_MAX = 1_000_000_000
"""10,000,000 INR: ten times the highest traded price; above it a digit slipped (§1.3)."""

TARGETS_MAX = 10
"""Targets one signal may carry (§1.1)."""

FIELD_LENGTH_MAX = 4096
"""Characters of one text field of an upload (§1.3)."""

FUTURE_TOLERANCE_NS = 5 * 60 * 1_000_000_000
"""How far a stamp may lie after the moment of ingestion (§1.1): clocks differ."""

CORRELATION_ID_LENGTH_MAX = 25
"""The broker refuses longer correlation ids."""

BUS_QUEUE_SIZE = 4096
"""Messages waiting between two daemon tasks: ten seconds of the heaviest burst promised (§5.10)."""

LEVEL_SHARE_MAX = 0.30
"""A reversed or widened level lies at most this share of the entry away (§4.7, §5.4)."""

JOURNAL_EVENT_BYTES_MAX = 1_000_000
"""One journalled batch; 400 bars of one minute need about 40,000."""
