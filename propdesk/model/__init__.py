"""The words of the desk as immutable values."""
