"""Benchmarks: each prints its figures and the machine; none asserts a time."""
