"""The order path under faults, deaths and wrong clocks, from one seed (docs/reliability.md)."""
