-- Regime labels by trade date and scope; days without a label are left out.
select
    trade_date,
    scope,
    label as regime
from {{ source('ref', 'regimes') }}
where label is not null
