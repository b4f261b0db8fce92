"""Statistics over arrays, one function each."""
