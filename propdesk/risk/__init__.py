"""Limits, kill switches, margins, charges and the corpus ledger."""
