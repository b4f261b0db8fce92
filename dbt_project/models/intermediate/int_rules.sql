{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date', 'rule_text'], 'unique': true}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date and replayed group (advisors, and cells with at least half their minimum of trades): step 8's
-- sums turned into rates, beside what else it computed, and the verdict of both profiles (none for an advisor). The other
-- cells stand in int_thin_rules.
{% set more = [
    'win_rate', 'mean_return', 'volatility_ratio', 'first_half_net_pnl_paise', 'second_half_net_pnl_paise',
    'reverse_net_pnl_paise', 'reverse_q',
] %}
{% set z2 = '3.8414588206941236::double precision' %}
with joined as (
    select
        g.*,
        g.n::double precision as n_float,
        g.wins::double precision / g.n as win_rate,
        g.win_weight / nullif(g.weight, 0) as weighted_win_rate,
        g.weight * g.weight / nullif(g.weight_squared, 0) as n_eff,
        g.return_sum / g.n as mean_return,
        g.r_sum / nullif(g.r_count, 0) as mean_r,
        g.r_weighted / nullif(g.r_weight, 0) as weighted_mean_r,
        case
            when g.losses_paise < 0 then g.gains_paise::double precision / -g.losses_paise
            when g.gains_paise > 0 then 'Infinity'::double precision
        end as profit_factor,
        case
            when g.weighted_losses_paise < 0 then g.weighted_gains_paise / -g.weighted_losses_paise
            when g.weighted_gains_paise > 0 then 'Infinity'::double precision
        end as weighted_profit_factor,
        (g.gains_paise::double precision / nullif(g.winners, 0))
        / nullif(-g.losses_paise::double precision / nullif(g.losers, 0), 0) as payoff_ratio,
        g.hours / g.n as mean_holding_hours,
        g.net_pnl_paise - g.first_half_net_pnl_paise as second_half_net_pnl_paise,
        r.return_ratio,
        r.mdd_ratio,
        r.marked_mdd_ratio,
        least(r.mdd_ratio, r.marked_mdd_ratio) as worse_mdd,
        r.sharpe,
        r.sharpe_se,
        r.sortino,
        r.calmar,
        r.volatility_ratio,
        r.trades_executed,
        r.trades_skipped_capital,
        r.trades_skipped_capital::double precision
        / nullif(r.trades_executed + r.trades_skipped_capital, 0) as skipped_share,
        r.peak_utilisation_ratio,
        g.pain_reward / nullif(g.pain_reward_no_skill, 0) as pain_reward_ratio,
        g.median_traded_value_share as traded_value_share
    from {{ ref('stg_group_metrics') }} as g
    inner join {{ ref('stg_corpus_replays') }} as r on r.as_of_date = g.as_of_date and r.rule_text = g.rule_text
    where {{ in_range('g.as_of_date') }} and {{ in_range('r.as_of_date') }}
),

read as (
    select
        *,
        weighted_win_rate - win_rate as divergence,
        -- half the width and the middle of the 95 % Wilson interval
        (win_rate + {{ z2 }} / (2 * n_float)) / (1 + {{ z2 }} / n_float) as wilson_middle,
        sqrt({{ z2 }}) * sqrt(win_rate * (1 - win_rate) / n_float + {{ z2 }} / (4 * n_float * n_float))
        / (1 + {{ z2 }} / n_float) as wilson_half
    from joined
),

-- read twice: the few rows of the advisors are cheaper to make again than all rows are to keep
flagged as not materialized (
    select
        *,
        wilson_middle - wilson_half as win_rate_low,
        wilson_middle + wilson_half as win_rate_high,
        case
            when win_rate * (1 - win_rate) * (1 / n_eff - 1 / n_float) > 1e-15::double precision
                then divergence / sqrt(win_rate * (1 - win_rate) * (1 / n_eff - 1 / n_float))
        end as divergence_z,
        -- with a tolerance, so that exactly five points are not decided by the last bit
        case
            when n < {{ number('trust_min_trades') }} then null
            when abs(divergence) > 0.05::double precision + 1e-12::double precision then 'UNTRUSTED'
            when divergence >= -1e-12::double precision then 'TRUSTED'
            else 'WATCHLIST'
        end as own_flag
    from read
),

advisors as (
    select
        as_of_date,
        advisor_id,
        own_flag,
        own_flag is not null and coalesce(abs(divergence_z) < 1.96::double precision, true) as is_noise
    from flagged
    where level = 'ADVISOR'
),

trusted as (
    select
        f.*,
        coalesce(f.own_flag, a.own_flag) as trust_flag,
        case
            when f.own_flag is not null then coalesce(abs(f.divergence_z) < 1.96::double precision, true)
            else coalesce(a.is_noise, false)
        end as trust_is_noise,
        f.own_flag is not null as trust_is_own
    from flagged as f
    left join advisors as a on a.as_of_date = f.as_of_date and a.advisor_id = f.advisor_id
),

m as (
    select
        *,
        case trust_flag when 'TRUSTED' then 2 when 'WATCHLIST' then 1 when 'UNTRUSTED' then 0 end as original_trust,
        case
            when trust_flag is not null and trust_is_noise then 2
            else case trust_flag when 'TRUSTED' then 2 when 'WATCHLIST' then 1 when 'UNTRUSTED' then 0 end
        end as desk_trust
    from trusted
),

o as (
    select * from {{ ref('int_gate_thresholds') }}
    where profile = 'original'
),

d as (
    select * from {{ ref('int_gate_thresholds') }}
    where profile = 'desk'
)

select
    {{ rule_columns() }},
    {%- for name in more %}
    m.{{ name }},
    {%- endfor %}
    (select max(gates_version) from d) as gates_version,
    case when o.level is not null then {{ failed_gates(rule_checks('original'), 'o') }} end as original_failed_gates,
    case when d.level is not null then {{ failed_gates(rule_checks('desk'), 'd') }} end as desk_failed_gates
from m
left join o on o.level = m.level and o.category = m.category
left join d on d.level = m.level and d.category = m.category
