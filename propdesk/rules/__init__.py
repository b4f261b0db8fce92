"""Rule cells: dimensions, gates and matching."""
