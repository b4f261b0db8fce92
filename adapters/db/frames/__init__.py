"""Reads and writes of whole frames for the pipeline's assets."""
