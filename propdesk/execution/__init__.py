"""Orders and trade groups: what is wanted, what fills, what follows from a fill."""
