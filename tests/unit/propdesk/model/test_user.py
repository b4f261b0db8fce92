import pytest

from propdesk.core.errors import ConfigFault
from propdesk.model.user import UserRole, require_login, require_password


def test_each_role_includes_the_ones_before_it() -> None:
    allowed = {role: {needed for needed in UserRole if role.includes(needed)} for role in UserRole}
    assert allowed == {
        UserRole.VIEWER: {UserRole.VIEWER},
        UserRole.TRADER: {UserRole.VIEWER, UserRole.TRADER},
        UserRole.ADMIN: set(UserRole),
    }


@pytest.mark.parametrize("login", ["a", "asha", "desk-1", "a.b_c", "9" * 64])
def test_a_login_is_lower_case(login: str) -> None:
    assert require_login(login) == login


@pytest.mark.parametrize("login", ["", "Asha", "-a", "a b", "a\n", "अ", "a" * 65, "a'; DROP TABLE x"])
def test_anything_else_is_no_login(login: str) -> None:
    with pytest.raises(ConfigFault, match="cannot be a login"):
        require_login(login)


@pytest.mark.parametrize(
    ("length", "is_good"), [(0, False), (11, False), (12, True), (256, True), (257, False)]
)
def test_only_the_length_of_a_password_counts(length: int, is_good: bool) -> None:
    password = "p" * length
    if is_good:
        assert require_password(password) == password
        return
    with pytest.raises(ConfigFault, match=f"this one {length}") as caught:
        require_password(password)
    assert length == 0 or password not in str(caught.value)
