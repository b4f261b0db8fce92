"""The daemon's tasks, one module each; they know ports and the bus, never adapters."""
