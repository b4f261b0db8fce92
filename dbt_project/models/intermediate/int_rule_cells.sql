{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook=[
        "{{ prepare_range() }}",
        "set local enable_hashagg = off",
    ],
    post_hook="{{ know_keys(['as_of_date', 'rule_text']) }}"
) }}
-- Additive and weighted sums per as-of date and replayed group (advisors, and cells with at least half their minimum
-- of trades): one row per (as_of_date, rule_text). A trade counts from the day it ended, while its entry lies in the
-- window. The finest groups are summed from the trades, the coarser ones from the finest; nobody reads the sums of the
-- thin ones, which are most, so they are not stored. Everything is summed day by day in sorted order: a table of all
-- groups of all days in memory would take hundreds of megabytes, and longer.
{% set counts = ['n', 'wins', 'winners', 'losers', 'r_count'] %}
{% set sums = ['weight', 'weight_squared', 'win_weight', 'return_sum', 'r_sum', 'r_weight', 'r_weighted',
    'gains', 'losses', 'weighted_gains', 'weighted_losses', 'net_pnl', 'charges', 'hours', 'first_half',
    'reverse_net'] %}
with replayed as (
    select as_of_date, rule_text
    from {{ ref('stg_group_metrics') }}
    where {{ in_range('as_of_date') }} and losing_streak_max is not null
),

-- an advisor with a closed trade is replayed: no day is missing here
days as (
    select distinct as_of_date from replayed
),

members as (
    select
        d.as_of_date,
        t.cell_no,
        t.mini_regime_no,
        t.win,
        t.r_multiple,
        t.return_ratio,
        t.holding_hours,
        t.net_pnl,
        t.charges,
        t.reverse_net,
        exp(
            -ln(2::double precision) / {{ number('half_life_days') }}::double precision
            * (d.as_of_date - t.exit_date)::double precision
        ) as w,
        t.entry_date <= d.as_of_date - {{ number('window_days') }} / 2 as is_first_half
    from days as d
    inner join {{ ref('int_trade_cells') }} as t
        on
            t.entry_date > d.as_of_date - {{ number('window_days') }}
            and t.exit_date <= d.as_of_date
    order by d.as_of_date, t.cell_no, t.trade_no
),

finest as (
    select
        as_of_date,
        cell_no,
        min(mini_regime_no) as mini_regime_no,
        count(*)::int as n,
        sum(win)::int as wins,
        sum((net_pnl > 0)::int)::int as winners,
        sum((net_pnl < 0)::int)::int as losers,
        count(r_multiple)::int as r_count,
        sum(w) as weight,
        sum(w * w) as weight_squared,
        sum(w * win) as win_weight,
        sum(return_ratio) as return_sum,
        coalesce(sum(r_multiple), 0) as r_sum,
        coalesce(sum(case when r_multiple is not null then w end), 0) as r_weight,
        coalesce(sum(r_multiple * w), 0) as r_weighted,
        sum(greatest(net_pnl, 0)) as gains,
        sum(least(net_pnl, 0)) as losses,
        sum(greatest(net_pnl, 0) * w) as weighted_gains,
        sum(least(net_pnl, 0) * w) as weighted_losses,
        sum(net_pnl) as net_pnl,
        sum(charges) as charges,
        sum(holding_hours) as hours,
        sum(case when is_first_half then net_pnl else 0 end) as first_half,
        sum(reverse_net) as reverse_net
    from members
    group by as_of_date, cell_no
),

names as (
    select distinct on (cell_no)
        cell_no,
        mini_regime_no,
        mini_no,
        advisor_no,
        concat_ws('|', '6D', advisor_id, category, period, regime, weekday, session) as cell_text,
        concat_ws('|', 'MINIR', advisor_id, category, period, regime) as mini_regime_text,
        concat_ws('|', 'MINI', advisor_id, category, period) as mini_text,
        'ADVISOR|' || advisor_id as advisor_text,
        regime is not null as has_mini_regime,
        regime is not null and weekday is not null and session is not null as has_cell
    from {{ ref('int_trade_cells') }}
    order by cell_no
),

-- every level adds up the one below it, in the order of its numbers
mini_regimes as (
    select
        as_of_date,
        mini_regime_no,
        {{ summed(counts, sums) }}
    from (
        select * from finest
        order by as_of_date, mini_regime_no, cell_no
    ) as parts
    group by as_of_date, mini_regime_no
),

regime_names as (
    select distinct on (mini_regime_no) mini_regime_no, mini_no, mini_regime_text, has_mini_regime
    from names
    order by mini_regime_no
),

minis as (
    select
        as_of_date,
        mini_no,
        {{ summed(counts, sums) }}
    from (
        select f.*, k.mini_no
        from mini_regimes as f
        inner join regime_names as k on k.mini_regime_no = f.mini_regime_no
        order by f.as_of_date, f.mini_regime_no
    ) as parts
    group by as_of_date, mini_no
),

mini_names as (
    select distinct on (mini_no) mini_no, advisor_no, mini_text, advisor_text
    from names
    order by mini_no
),

advisors as (
    select
        as_of_date,
        advisor_text,
        {{ summed(counts, sums) }}
    from (
        select f.*, k.advisor_text
        from minis as f
        inner join mini_names as k on k.mini_no = f.mini_no
        order by f.as_of_date, f.mini_no
    ) as parts
    group by as_of_date, advisor_text
),

groups as (
    select f.as_of_date, k.cell_text as rule_text, {{ counts | join(', ') }}, {{ sums | join(', ') }}
    from finest as f
    inner join names as k on k.cell_no = f.cell_no
    where k.has_cell
    union all
    select f.as_of_date, k.mini_regime_text, {{ counts | join(', ') }}, {{ sums | join(', ') }}
    from mini_regimes as f
    inner join regime_names as k on k.mini_regime_no = f.mini_regime_no
    where k.has_mini_regime
    union all
    select f.as_of_date, k.mini_text, {{ counts | join(', ') }}, {{ sums | join(', ') }}
    from minis as f
    inner join mini_names as k on k.mini_no = f.mini_no
    union all
    select as_of_date, advisor_text, {{ counts | join(', ') }}, {{ sums | join(', ') }}
    from advisors
)

select
    as_of_date,
    rule_text,
    {{ counts | join(', ') }},
    weight,
    weight_squared,
    win_weight,
    return_sum,
    r_sum,
    r_weight,
    r_weighted,
    gains::bigint as gains_paise,
    losses::bigint as losses_paise,
    weighted_gains as weighted_gains_paise,
    weighted_losses as weighted_losses_paise,
    net_pnl::bigint as net_pnl_paise,
    charges::bigint as charges_paise,
    hours,
    first_half::bigint as first_half_net_pnl_paise,
    (net_pnl - first_half)::bigint as second_half_net_pnl_paise,
    reverse_net::bigint as reverse_net_pnl_paise
from groups
inner join replayed using (as_of_date, rule_text)
