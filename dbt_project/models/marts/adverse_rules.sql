{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- Candidates for trading against an advisor: one row per as-of date and replayed group with a mean loss.
-- Significance is the false-discovery rate of the reversed trades among all judged groups of the day (step 8).
with metrics as not materialized (
    select * from {{ ref('int_rules') }}
    where level <> 'ADVISOR' and {{ in_range('as_of_date') }}
),

medians as (
    select
        as_of_date,
        level,
        category,
        percentile_cont(0.5) within group (order by volatility_ratio) as volatility_median
    from metrics
    group by as_of_date, level, category
),

m as (
    select
        metrics.*,
        metrics.volatility_ratio / nullif(medians.volatility_median, 0) as volatility_multiple
    from metrics
    inner join medians using (as_of_date, level, category)
    where metrics.mean_return < 0
),

thresholds as (
    select
        profile,
        level,
        category,
        gates_version,
        {% for gate, _, _ in adverse_checks() -%}
        adverse_{{ gate }} as {{ gate }}{{ "," if not loop.last }}
        {% endfor %}
    from {{ ref('int_gate_thresholds') }}
),

o as (
    select * from thresholds
    where profile = 'original'
),

d as (
    select * from thresholds
    where profile = 'desk'
),

judged as (
    select
        m.as_of_date,
        m.rule_text,
        m.level,
        m.advisor_id,
        m.category,
        m.period,
        m.regime,
        m.weekday,
        m.session,
        m.n,
        m.n_days,
        100 * m.win_rate as win_rate_pct,
        100 * m.mean_return as mean_return_pct,
        m.profit_factor,
        100 * m.volatility_ratio as volatility_pct,
        m.volatility_multiple,
        m.excess_hits,
        m.excess_z,
        m.reverse_q,
        m.first_half_net_pnl_paise,
        m.second_half_net_pnl_paise,
        m.reverse_net_pnl_paise,
        m.post_mean_r,
        m.prob_edge,
        m.trust_flag,
        m.trust_is_noise,
        m.wse_p90,
        m.mean_post_sl_extension,
        m.stopped_trades,
        {{ failed_gates(adverse_checks(), 'o') }} as original_failed_gates,
        {{ failed_gates(adverse_checks(), 'd') }} as desk_failed_gates,
        d.gates_version
    from m
    inner join o on o.level = m.level and o.category = m.category
    inner join d on d.level = m.level and d.category = m.category
)

select
    *,
    cardinality(original_failed_gates) = 0 as original_passes,
    cardinality(desk_failed_gates) = 0 as desk_passes
from judged
