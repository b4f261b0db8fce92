"""The data folder: modes, private files, faults in words; and ports."""

import os
import socket
from pathlib import Path

import pytest

from adapters.settings import default_home
from propdesk.core.errors import ConfigFault
from runtime.home import Home, read_json, write_json, write_private
from runtime.ports import LOOPBACK, PortBook, is_free


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_folders_are_made_whatever_the_umask_and_foreign_modes_stay(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o700)
    former = os.umask(0o077)
    try:
        home = Home(foreign / "deep" / "home")
        home.create()
        home.create()
    finally:
        os.umask(former)
    assert foreign.stat().st_mode & 0o777 == 0o700
    assert home.path.stat().st_mode & 0o777 == 0o755
    assert home.run.stat().st_mode & 0o777 == 0o700


def test_a_home_that_is_a_file_is_one_sentence_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigFault, match=r"data folder .*file/home cannot be written.*PROPDESK_HOME"):
        Home(tmp_path / "file" / "home").create()


def test_each_clone_has_a_home_of_its_own(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "link").symlink_to(one)
    assert default_home(one) != default_home(two)
    assert default_home(one) == default_home(tmp_path / "link")


def test_state_files_are_private_replaced_at_once_and_forgiven_when_torn(home: Home) -> None:
    file = home.run / "x.json"
    assert read_json(file) == {}
    write_json(file, {"a": 1})
    assert read_json(file) == {"a": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text('{"a": ')
    assert read_json(file) == {}
    write_private(file, "[1]")
    assert read_json(file) == {}
    assert [f.name for f in home.run.iterdir()] == ["x.json"]


def test_a_port_is_remembered_and_two_names_never_share_one(home: Home) -> None:
    book = PortBook(home)
    first, second = book.take("one"), book.take("two")
    assert first != second
    assert PortBook(home).take("one") == first
    assert book.known() == {"one": first, "two": second}
    assert 15_000 <= first < 30_000


def test_a_taken_port_is_left_and_another_remembered(home: Home) -> None:
    book = PortBook(home)
    port = book.take("one")
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)
        other = book.take("one")
    assert other != port
    assert book.take("one") == other
    assert book.take("one", avoid=other) != other


def test_a_pinned_port_is_used_or_named_in_the_fault(home: Home) -> None:
    book = PortBook(home)
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigFault, match=rf"Port {port} for redis is taken.*PROPDESK_REDIS_PORT"):
            book.take("redis", port, "PROPDESK_REDIS_PORT")
    assert book.take("redis", port) == port
    assert book.known() == {}
