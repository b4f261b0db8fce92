from tests.sweeps.outcome_equality import compare


def test_kernel_equals_the_oracle_on_every_generated_trade() -> None:
    kinds, reasons = compare(3_000, seed=7)
    # the set is only worth something if it holds every way a trade can end
    assert set(reasons) == {
        *("TARGET", "STOPLOSS", "TRAILED_STOP", "FOLLOWUP_EXIT", "SQUARE_OFF", "PRE_EXPIRY", "EXPIRY"),
        *("TIME_OUT", "OPEN", "NOT_TRIGGERED", "GAPPED_THROUGH", "NO_PRICE_DATA", "INCOMPLETE", "ambiguous"),
        "filled",
    }
    assert min(reasons.values()) >= 10
    assert set(kinds) == {
        *("BUY", "SELL", "LIMIT", "STOP", "MARKET", "RANGE"),
        *("several targets", "no stop", "follow-ups", "timed exit"),
    }
    assert min(kinds.values()) >= 300
