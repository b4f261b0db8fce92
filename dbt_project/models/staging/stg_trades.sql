-- Closed trades that count, one row per trade. Money stays in paise.
select
    trade_id,
    advisor_id,
    category,
    period,
    session,
    weekday,
    underlying,
    trade_date,
    entry_date,
    exit_date,
    net_pnl_paise,
    gross_pnl_paise,
    slippage_paise,
    charges_paise,
    r_multiple,
    return_ratio,
    holding_hours,
    is_winning_trade
from {{ source('research', 'trades') }}
where
    is_counted
    and exit_date is not null
    and exit_reason <> 'OPEN'
