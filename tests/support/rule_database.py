"""Put synthetic trades through step 8 into a database, and build the dbt project on it.

As a program (``python -m tests.support.rule_database JSON``) it builds the marts as step 9 does, once for
each set of dbt's variables in a JSON list, and prints why each failed. Settings come from the environment.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from datetime import date
from pathlib import Path

import pandas as pd
import psycopg
from sqlalchemy import make_url

from adapters.config_gates import load_gates
from adapters.db.frames.copy import replace_range
from adapters.db.frames.rules import append_trials, write_gate_thresholds, write_group_table
from adapters.settings import ENV_PREFIX, load_settings
from assets._shared.dbt_runner import DbtRunner
from propdesk.pipeline.groups import GroupConfig, GroupTables, build_group_facts
from propdesk.pipeline.trial_ledger import trials
from tests.support.rule_frames import RuleFrames
from tests.support.warm import warm_python

ROOT = Path(__file__).resolve().parents[2]
FIRST, LAST = date(2000, 1, 1), date(2100, 1, 1)


def psycopg_url(pg_url: str) -> str:
    """The same database for psycopg."""
    return make_url(pg_url).set(drivername="postgresql").render_as_string(hide_password=False)


def trades_for_table(frames: RuleFrames) -> pd.DataFrame:
    """Fill the columns of research.trades that step 8 and dbt do not read."""
    frame = frames.trades.copy()
    frame["instrument_key"] = frame["price_key"] = frame["underlying_key"]
    frame["received_at"] = frame["entry_at"]
    frame["holding_days"] = 0
    for name in (
        "entry_low_paise", "entry_high_paise", "group_key", "duplicate_of", "copied_from", "product",
        "product_reason", "exit_target", "is_intraday", "is_expiry_day", "days_to_expiry", "moneyness",
        "target_hit", "stoploss_hit",
    ):  # fmt: skip
        frame[name] = None
    return frame


def regimes_for_table(frames: RuleFrames) -> pd.DataFrame:
    """Market regime per trade date as the trades carry it."""
    days = frames.trades.drop_duplicates("trade_date")
    frame = pd.DataFrame({"trade_date": days["trade_date"], "scope": "MARKET", "label": days["regime"]})
    for name in (
        "reason",
        "realised_label",
        "adx",
        "slope",
        "close_to_ema20",
        "log_return_20",
        "lean_threshold",
    ):
        frame[name] = None
    return frame


def load(
    pg_url: str, frames: RuleFrames, as_of: Sequence[date], config: GroupConfig | None = None
) -> GroupTables:
    """Write trades, regimes, thresholds and the group facts of the as-of dates."""
    gates = load_gates()
    config = config or GroupConfig(minimum_trades=gates.minimum_trades())
    tables = build_group_facts(
        frames.trades, frames.excursions, frames.marks, frames.calendar, list(as_of), config
    )
    with psycopg.connect(psycopg_url(pg_url)) as connection:
        write = {
            "research.trades": trades_for_table(frames),
            "research.excursions": frames.excursions,
            "research.trade_marks": frames.marks,
            "ref.regimes": regimes_for_table(frames),
        }
        for table, frame in write.items():
            replace_range(connection, table, frame, partition_column="trade_date", first=FIRST, last=LAST)
        write_gate_thresholds(connection, gates)
        for name, frame in (
            ("corpus_replays", tables.replays),
            ("equity_curves", tables.curves),
            ("group_metrics", tables.metrics),
            ("thin_groups", tables.thin),
        ):
            write_group_table(connection, name, frame, FIRST, LAST)
        append_trials(connection, trials(tables, gates, config))
    return tables


def dbt_environment(pg_url: str) -> dict[str, str]:
    """Environment of the dbt profile."""
    url = make_url(pg_url)
    return {
        "PROPDESK_PG_HOST": str(url.host),
        "PROPDESK_PG_PORT": str(url.port),
        "PROPDESK_PG_USER": str(url.username),
        "PROPDESK_PG_PASSWORD": str(url.password),
        "PROPDESK_PG_DATABASE": str(url.database),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


def run_dbt(pg_url: str, target: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run dbt's own program on the project, its files outside the clone."""
    return subprocess.run(
        [
            *(*warm_python(), "-m", "dbt.cli.main"),
            *words,
            "--project-dir", str(ROOT / "dbt_project"),
            "--profiles-dir", str(ROOT / "dbt_project"),
            "--target-path", str(target / "target"),
            "--log-path", str(target / "logs"),
        ],
        env={**os.environ, **dbt_environment(pg_url)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip


def build_marts(pg_url: str, home: Path, *variables: Mapping[str, str]) -> list[str | None]:
    """Build the marts as step 9 does, once for each set of variables.

    Returns
    -------
    list of str or None
        Why each build failed; None where it did not.
    """
    ours = {"HOME": str(home), "POSTGRES_PIPELINE_URL": pg_url}
    done = subprocess.run(
        [*warm_python(), "-m", "tests.support.rule_database", json.dumps(variables)],
        cwd=ROOT, env={**os.environ, **{ENV_PREFIX + name: value for name, value in ours.items()}},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4_000:]
    found: list[str | None] = json.loads(done.stdout)
    return found


def main() -> int:
    """Build the marts for each set of variables and print why it failed."""
    with redirect_stdout(sys.stderr):  # libraries print too
        runner = DbtRunner(load_settings(runtime=False))
        found = [runner.build(variables, None)[1] for variables in json.loads(sys.argv[1])]
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
