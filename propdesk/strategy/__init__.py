"""What to make of a signal: crowd, eligibility, size, reverse."""
