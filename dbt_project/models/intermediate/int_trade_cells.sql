{{ config(
    materialized='table',
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys(['cell_no', 'entry_date', 'exit_date']) }}"
) }}
-- Trades of the windows with the number of their group at each level; the sums are made over these numbers.
-- The numbers hold within one build only. Within a group trades are numbered in the order of their ids, and every
-- later sum follows that order, so that a re-run adds up to the same bits. Rows lie in the order in which they are
-- summed: what sorts them again finds them sorted.
with labelled as (
    select
        t.*,
        g.regime,
        case when t.session <> 'AFTER_HOURS' then t.session end as cell_session
    from {{ ref('stg_trades') }} as t
    left join {{ ref('stg_regimes') }} as g
        on
            g.trade_date = t.trade_date
            and g.scope = case
                when {{ word('regime_scope', ['market', 'underlying']) }} = 'market' then 'MARKET' else t.underlying
            end
    where
        true
        {% if var('min_date') -%}
        and t.entry_date > {{ date_literal('min_date') }} - {{ number('window_days') }}
        and t.entry_date <= {{ date_literal('max_date') }}
        {%- endif %}
),

numbered as (
    select
        *,
        (dense_rank() over (order by advisor_id))::int as advisor_no,
        (dense_rank() over (order by advisor_id, category, period))::int as mini_no,
        (dense_rank() over (order by advisor_id, category, period, regime))::int as mini_regime_no,
        (dense_rank() over (order by advisor_id, category, period, regime, weekday, cell_session))::int as cell_no
    from labelled
)

select
    trade_id,
    (row_number() over (order by trade_id))::int as trade_no,
    advisor_no,
    mini_no,
    mini_regime_no,
    cell_no,
    advisor_id,
    category,
    period,
    regime,
    weekday,
    cell_session as session,
    entry_date,
    exit_date,
    is_winning_trade::int as win,
    r_multiple,
    return_ratio,
    holding_hours,
    -- whole paise are exact in double precision up to 9e15, and add up much faster than numeric
    net_pnl_paise::double precision as net_pnl,
    charges_paise::double precision as charges,
    (-gross_pnl_paise - slippage_paise - charges_paise)::double precision as reverse_net
from numbered
order by cell_no, trade_id
