"""Market indicators as plain functions over arrays."""
