"""Joint tests of the leaderboard: skill is named, luck is not, and nothing else loads the library."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from propdesk.pipeline.joint_tests import joint_tests


def desk(seed: int, edge: dict[int, float], days: int = 120, advisors: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    market = rng.normal(0.0, 0.3, (days, 1))
    daily = rng.normal(0.0, 1.0, (days, advisors)) + market
    for advisor, mean in edge.items():
        daily[:, advisor] += mean
    return pd.DataFrame(daily, columns=[f"A{i:02d}" for i in range(advisors)])


def test_the_skilled_are_named_and_the_lucky_are_not() -> None:
    found = joint_tests(desk(2, {3: 0.8, 7: 0.9}), draws=200)
    assert found.spa_p < 0.01
    assert found.superior == ("A03", "A07")
    assert (found.advisors, found.days) == (12, 120)
    assert 1 <= found.block_days <= 12
    assert joint_tests(desk(2, {3: 0.8, 7: 0.9}), draws=200) == found
    luck = [joint_tests(desk(seed, {}), draws=200) for seed in range(10)]
    assert np.mean([one.spa_p for one in luck]) > 0.3
    assert sum(bool(one.superior) for one in luck) <= 1


def test_losers_do_not_hide_who_earns() -> None:
    """The consistent p leaves out whoever is far behind; the upper bound does not."""
    alone = joint_tests(desk(4, {0: 0.25}), draws=300).spa_p
    beside = joint_tests(desk(4, {0: 0.25, **dict.fromkeys(range(4, 12), -3.0)}), draws=300).spa_p
    assert beside <= alone + 0.02


@pytest.mark.parametrize("daily", [desk(1, {}, days=19), desk(1, {}).iloc[:, :0], desk(1, {}) * 0.0])
def test_nothing_to_test_is_unknown(daily: pd.DataFrame) -> None:
    found = joint_tests(daily)
    assert math.isnan(found.spa_p)
    assert found.superior == ()


def test_the_command_line_loads_the_library_only_to_report() -> None:
    """Who else may import the module is a contract in pyproject.toml."""
    script = "import sys\nimport cli.main, cli.skill\nassert not {'arch', 'statsmodels'} & set(sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
