"""Corpus replay: the readable driver and its kernel."""
