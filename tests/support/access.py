"""Users and a cheap hasher for tests of the surfaces."""

from argon2 import PasswordHasher

from adapters.passwords import Passwords


def cheap_passwords() -> Passwords:
    """Give argon2 with the least work: what it costs an attacker is not what these tests look at."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
