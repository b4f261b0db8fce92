"""Stages by the evidence, one threshold at a time."""

import math
from dataclasses import replace

import pytest

from propdesk.rules.stages import Stage, StageLimits, Standing, stage_of

PROVEN = Standing(
    n_ideas=300, n_days=60, post_mean_r=0.2, prob_edge=0.99, q_value=0.01, mdd_p95=-0.05, t_cluster=3.5,
    e_value=40.0, e_against=0.1, e_decline=2.0,
)  # fmt: skip
BEGUN = replace(PROVEN, t_cluster=2.0, e_value=6.0)


def test_all_evidence_leads_live() -> None:
    assert stage_of(PROVEN, StageLimits()) == (Stage.LIVE, ())


@pytest.mark.parametrize(
    ("known", "stage", "why"),
    [
        (replace(PROVEN, t_cluster=2.99), Stage.LIVE, ""),
        (replace(PROVEN, e_value=19.9), Stage.LIVE, ""),
        (BEGUN, Stage.CANARY, "t below 3"),
        (replace(BEGUN, t_cluster=math.nan), Stage.CANARY, "t below 3"),
        (replace(PROVEN, e_decline=250.0), Stage.REDUCED, "of late"),
        (replace(PROVEN, e_decline=249.9), Stage.LIVE, ""),
        (replace(PROVEN, post_mean_r=0.05), Stage.PAPER, "estimate not above 0.05 R"),
        (replace(PROVEN, prob_edge=0.8), Stage.PAPER, "probability of an edge not above 0.8"),
        (replace(PROVEN, q_value=0.101), Stage.PAPER, "false-discovery rate above 0.1"),
        (replace(PROVEN, q_value=0.10), Stage.LIVE, ""),
        (replace(PROVEN, q_value=math.nan), Stage.PAPER, "false-discovery rate above 0.1 (unknown)"),
        (replace(PROVEN, mdd_p95=-0.15), Stage.PAPER, "reshuffled drawdown not inside -15 %"),
        (replace(PROVEN, mdd_p95=math.nan), Stage.PAPER, "(unknown)"),
        (replace(PROVEN, n_ideas=19), Stage.LEARN, "19 ideas on 60 days"),
        (replace(PROVEN, n_days=9), Stage.LEARN, "300 ideas on 9 days"),
        (replace(PROVEN, prob_edge=0.05), Stage.OFF, "probability of 0.05"),
        (replace(PROVEN, e_against=20.0), Stage.OFF, "less than ideas without skill"),
        (replace(PROVEN, n_ideas=5, e_against=20.0), Stage.OFF, "less than ideas without skill"),
    ],
)
def test_each_threshold_decides(known: Standing, stage: Stage, why: str) -> None:
    found, reasons = stage_of(known, StageLimits())
    assert found is stage
    assert why in "; ".join(reasons)
    assert bool(reasons) == (stage is not Stage.LIVE)


def test_every_missing_piece_is_named() -> None:
    nothing = replace(PROVEN, post_mean_r=0.0, prob_edge=0.5, q_value=0.5, mdd_p95=-0.5)
    assert len(stage_of(nothing, StageLimits())[1]) == 4


@pytest.mark.parametrize("worse", [{"prob_edge": 0.5}, {"q_value": 0.9}, {"mdd_p95": -0.9}, {"e_value": 0.0}])
def test_less_evidence_never_leads_higher(worse: dict[str, float]) -> None:
    ladder = [Stage.OFF, Stage.LEARN, Stage.PAPER, Stage.CANARY, Stage.REDUCED, Stage.LIVE]
    for base in (PROVEN, BEGUN):
        before, after = (stage_of(one, StageLimits())[0] for one in (base, replace(base, **worse)))
        assert ladder.index(after) <= ladder.index(before)
