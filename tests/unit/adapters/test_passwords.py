from argon2 import PasswordHasher
from argon2.profiles import RFC_9106_LOW_MEMORY

from adapters.passwords import Passwords, make_password
from propdesk.model.user import require_password
from tests.support.access import cheap_passwords


def test_only_the_same_password_matches() -> None:
    passwords = cheap_passwords()
    stored = passwords.hash("correct horse")
    assert passwords.matches(stored, "correct horse")
    assert not passwords.matches(stored, "correct horse ")
    assert not passwords.matches("no hash at all", "correct horse")


def test_nobody_has_no_password() -> None:
    passwords = cheap_passwords()
    assert not passwords.matches(None, "")
    assert not passwords.matches(None, "anything")


def test_the_default_is_the_profile_of_the_rfc() -> None:
    stored = Passwords().hash("correct horse")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY).check_needs_rehash(stored)
    assert Passwords().is_outdated(cheap_passwords().hash("correct horse"))


def test_a_password_made_is_long_enough_and_new() -> None:
    first, second = make_password(), make_password()
    assert require_password(first) != require_password(second)
