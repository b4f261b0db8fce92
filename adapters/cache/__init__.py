"""Redis: a mirror that may be lost."""
