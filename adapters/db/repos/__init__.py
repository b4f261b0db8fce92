"""Reads and writes of single records for processes that run without pandas."""
