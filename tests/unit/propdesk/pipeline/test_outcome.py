from tests.sweeps.outcome_equality import compare


def test_kernel_equals_the_oracle_on_every_generated_trade() -> None:
    reasons = compare(3_000, seed=7)
    # the set is only worth something if it holds every way a trade can end
    assert set(reasons) == {
        *("TARGET", "STOPLOSS", "TRAILED_STOP", "FOLLOWUP_EXIT", "SQUARE_OFF", "PRE_EXPIRY", "EXPIRY"),
        *("TIME_OUT", "OPEN", "NOT_TRIGGERED", "GAPPED_THROUGH", "NO_PRICE_DATA", "INCOMPLETE", "ambiguous"),
    }
    assert min(reasons.values()) >= 10
