"""The sandbox itself: the same run under the same seed, its truth, its commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.instruments import read_instrument_file
from adapters.settings import CLONE_ROOT
from cli.main import build
from propdesk.core.calendar import ist_date
from propdesk.core.errors import ConfigFault
from propdesk.model.enums import Side
from sandbox.book import Role
from sandbox.catalogue import Catalogue, catalogue_of_keys, listing_of, scrip_master_csv
from sandbox.faults import Fault, FaultKind
from sandbox.knobs import Knobs, knobs_from
from sandbox.server import Sandbox
from sandbox.world import World, make_world
from tests.contract.conftest import KEY, START
from tests.support.instruments import equity
from tests.support.sandbox_thread import RunningSandbox, running


def world_of(seed: int, ledger: Path | None = None) -> World:
    return make_world(
        Catalogue([listing_of(equity())]),
        START,
        knobs=Knobs(seed=seed),
        previous_close={KEY: 10_000},
        ledger_path=ledger,
    )


def day_of(world: World) -> None:
    """Thirty entries, some of which fail by the seed's draw, over three hundred prices."""
    listing = world.catalogue.by_key(KEY)
    assert listing is not None
    world.faults.arm(Fault(FaultKind.EXCHANGE_REJECT, count=-1, share=0.3))
    world.faults.arm(Fault(FaultKind.PARTIAL_ENTRY, count=-1, share=0.5, values={"pieces": 3}))
    for n in range(300):
        world.advance_by(7)
        world.trade(KEY, 10_000 + 5 * ((n * n) % 41 - 20))
        if n % 10 == 0:
            entry = world.exchange.new_order(Role.ENTRY, listing, side=Side.BUY, quantity=9, price=10_000)
            world.exchange.new_super(entry, target=10_080, stop=9_920, trailing=0)
            world.exchange.send(entry)
    world.advance_by(6 * 3_600)


def test_the_same_seed_gives_the_same_truth_and_another_seed_another() -> None:
    digests = []
    for seed in (7, 7, 8):
        world = world_of(seed)
        day_of(world)
        digests.append(world.ledger.digest)
    assert digests[0] == digests[1] != digests[2]


def test_the_truth_tells_every_fill_and_ends_flat(tmp_path: Path) -> None:
    world = world_of(7, tmp_path / "truth.jsonl")
    day_of(world)
    world.ledger.close()
    rows = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["digest"] == world.ledger.digest
    net = 0
    for row in (row for row in rows if row["what"] == "FILL"):
        sign = 1 if row["detail"]["side"] == "BUY" else -1
        net += sign * row["detail"]["quantity"]
    fills = sum(row["what"] == "FILL" for row in rows)
    assert fills == len(world.exchange.fills) > 30
    assert net == 0  # squared off by the broker at 15:20
    assert any(row["what"] == "EXPIRED" or row["what"] == "CANCELLED" for row in rows)


def test_time_never_runs_backwards() -> None:
    world = world_of(7)
    world.advance_by(10)
    with pytest.raises(Exception, match="never runs backwards"):
        world.exchange.advance(START)


@pytest.mark.parametrize(
    "values", [{"no_such": 1}, {"transit_ms": "fast"}, {"leg_ids": "theirs"}, {"check_ip": 1}]
)
def test_a_knob_is_refused_by_name_and_type(values: dict[str, object]) -> None:
    with pytest.raises(ConfigFault):
        knobs_from(values)


def test_every_fault_is_documented() -> None:
    text = (CLONE_ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
    assert [kind.value for kind in FaultKind if kind.value not in text] == []


def test_knobs_come_from_plain_json() -> None:
    assert knobs_from({"check_ip": True, "allowed_ips": ["10.0.0.1"], "ping_s": 5}) == Knobs(
        check_ip=True, allowed_ips=("10.0.0.1",), ping_s=5
    )


def test_its_scrip_master_is_read_as_the_brokers(tmp_path: Path) -> None:
    keys = (
        "INDEX:NIFTY",
        "NSE_EQ:TCS",
        "INDEX_FUT:NIFTY:2025-07-31",
        "INDEX_OPT:NIFTY:2025-07-31:2550000:CE",
    )
    day = ist_date(START)
    catalogue = catalogue_of_keys(keys, day)
    file = tmp_path / "api-scrip-master.csv"
    file.write_text(scrip_master_csv(catalogue), encoding="utf-8")
    found = {one.instrument_key: one for one in read_instrument_file(str(file), day).instruments}
    for key in keys[1:]:
        listing = catalogue.by_key(key)
        assert listing is not None
        assert (found[key].security_id, found[key].exchange_segment) == (listing.security_id, listing.segment)
        assert (found[key].lot_size, found[key].tick_paise) == (listing.lot_size, listing.tick_paise)


# ------------------------------------------------------------------------------------------ command line


@pytest.fixture(scope="module")
def served() -> Iterator[RunningSandbox]:
    with running(Sandbox(world_of(7))) as found:
        yield found


def words(served: RunningSandbox, *given: str, code: int = 0) -> str:
    result = CliRunner().invoke(build(), ["sandbox", *given, "--at", served.place])
    assert result.exit_code == code, result.output
    return result.output


def test_the_commands_move_time_prices_and_faults(served: RunningSandbox) -> None:
    before = json.loads(words(served, "status", "--json"))
    words(served, "clock", "advance_s=90")
    words(served, "tick", KEY, "101.5")
    after = json.loads(words(served, "status", "--json"))
    assert after["now_ns"] - before["now_ns"] == 90 * 10**9
    words(served, "fault", "exchange_reject", "count=2", "share=0.5")
    armed = json.loads(words(served, "faults", "--json"))
    assert armed["armed"] == [{"kind": "EXCHANGE_REJECT", "count": 2, "share": 0.5, "path": ""}]
    assert set(armed["hits"]) == {kind.value for kind in FaultKind}
    words(served, "fault", "none")
    assert json.loads(words(served, "faults", "--json"))["armed"] == []


def test_an_action_shows_in_the_truth(served: RunningSandbox) -> None:
    words(served, "tick", KEY, "100")
    order = words(served, "act", "manual_order", f"key={KEY}", "side=BUY", "quantity=2", "price=101").strip()
    words(served, "clock", "advance_s=1")
    rows = json.loads(words(served, "ledger", "--json"))["rows"]
    own = [row for row in rows if row["detail"].get("order_id") == order]
    assert [row["what"] for row in own] == ["ORDER", "PENDING", "FILL"]
    assert own[0]["detail"]["source"] == "MANUAL"
    assert "FILL" in words(served, "ledger", "--after", str(own[0]["seq"]))
    assert "MANUAL_ORDER" in words(served, "faults")


@pytest.mark.parametrize(
    "given",
    [
        ("fault", "no_such"),
        ("act", "no_such"),
        ("clock", "advance_s=soon"),
        ("tick", KEY, "much"),
        ("clock", "x"),
    ],
)
def test_what_cannot_be_done_is_said(served: RunningSandbox, given: tuple[str, ...]) -> None:
    result = CliRunner().invoke(build(), ["sandbox", *given, "--at", served.place])
    assert isinstance(result.exception, ConfigFault)


def test_a_sandbox_that_does_not_run_is_named() -> None:
    result = CliRunner().invoke(build(), ["sandbox", "status", "--at", "127.0.0.1:1"])
    assert "No sandbox answers" in str(result.exception)
