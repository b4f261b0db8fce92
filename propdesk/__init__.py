"""Pure domain of propdesk: no I/O, no clock, no environment, no logging."""
