{# Names of the gates that fail; conditions that are null fail, gates without threshold are not asked.
   `checks`: list of (gate, value, comparison); thresholds stand in columns <alias>.<gate>. #}
{% macro failed_gates(checks, alias) -%}
    array_remove(array[
        {%- for gate, value, comparison in checks %}
        case when {{ alias }}.{{ gate }} is not null and not coalesce({{ value }} {{ comparison }} {{ alias }}.{{ gate }}, false)
            then '{{ gate }}' end{{ "," if not loop.last }}
        {%- endfor %}
    ]::text[], null)
{%- endmacro %}

{# value, comparison per gate; the comparisons are those of propdesk/rules/gates.py (tested). #}
{% macro rule_checks(profile) -%}
    {{ return([
        ('min_trades', 'm.n', '>='),
        ('min_days', 'm.n_days', '>='),
        ('win_rate', 'm.win_rate', '>='),
        ('excess_hits', 'm.excess_hits', '>'),
        ('sharpe', 'm.sharpe', '>='),
        ('profit_factor', 'm.profit_factor', '>='),
        ('mdd', 'm.worse_mdd', '>='),
        ('pain_reward', 'm.pain_reward', '<'),
        ('pain_reward_ratio', 'm.pain_reward_ratio', '<='),
        ('trust', 'm.' ~ profile ~ '_trust', '>='),
        ('skipped_share', 'm.skipped_share', '<='),
        ('traded_value_share', 'm.traded_value_share', '<='),
        ('post_mean_r', 'm.post_mean_r', '>'),
        ('prob_edge', 'm.prob_edge', '>'),
        ('advisor_q', 'm.advisor_q', '<='),
        ('mdd_p95', 'm.mdd_p95', '>'),
    ]) }}
{%- endmacro %}

{% macro adverse_checks() -%}
    {{ return([
        ('min_trades', 'm.n', '>='),
        ('mean_return', 'm.mean_return', '<'),
        ('profit_factor', 'm.profit_factor', '<'),
        ('volatility', 'm.volatility_multiple', '>'),
        ('win_rate', 'm.win_rate', '<'),
        ('reverse_q', 'm.reverse_q', '<='),
        ('first_half', 'm.first_half_net_pnl_paise', '<'),
        ('second_half', 'm.second_half_net_pnl_paise', '<'),
        ('reverse_net', 'm.reverse_net_pnl_paise', '>'),
    ]) }}
{%- endmacro %}

{# Columns of every mart of rules, in the order of the contract: name, expression, and the type of the null that
   stands in a cell below half its minimum of trades (none: known there too). #}
{% macro rule_column_list() -%}
    {{ return([
        ('as_of_date', 'm.as_of_date', none),
        ('rule_text', 'm.rule_text', none),
        ('level', 'm.level', none),
        ('advisor_id', 'm.advisor_id', none),
        ('category', 'm.category', none),
        ('period', 'm.period', none),
        ('regime', 'm.regime', none),
        ('weekday', 'm.weekday', none),
        ('session', 'm.session', none),
        ('n', 'm.n', none),
        ('n_open', 'm.n_open', none),
        ('n_days', 'm.n_days', none),
        ('wins', 'm.wins', 'int'),
        ('win_rate_pct', '100 * m.win_rate', 'double precision'),
        ('win_rate_low_pct', '100 * m.win_rate_low', 'double precision'),
        ('win_rate_high_pct', '100 * m.win_rate_high', 'double precision'),
        ('weighted_win_rate_pct', '100 * m.weighted_win_rate', 'double precision'),
        ('n_eff', 'm.n_eff', 'double precision'),
        ('divergence_pct', '100 * m.divergence', 'double precision'),
        ('divergence_z', 'm.divergence_z', 'double precision'),
        ('trust_flag', 'm.trust_flag', 'text'),
        ('trust_is_noise', 'm.trust_is_noise', 'boolean'),
        ('trust_is_own', 'm.trust_is_own', 'boolean'),
        ('mean_return_pct', '100 * m.mean_return', 'double precision'),
        ('median_return_pct', '100 * m.median_return', 'double precision'),
        ('best_return_pct', '100 * m.best_return', 'double precision'),
        ('worst_return_pct', '100 * m.worst_return', 'double precision'),
        ('mean_r', 'm.mean_r', 'double precision'),
        ('weighted_mean_r', 'm.weighted_mean_r', 'double precision'),
        ('median_r', 'm.median_r', 'double precision'),
        ('profit_factor', 'm.profit_factor', 'double precision'),
        ('weighted_profit_factor', 'm.weighted_profit_factor', 'double precision'),
        ('payoff_ratio', 'm.payoff_ratio', 'double precision'),
        ('losing_streak_max', 'm.losing_streak_max', 'int'),
        ('net_pnl_paise', 'm.net_pnl_paise', 'bigint'),
        ('charges_paise', 'm.charges_paise', 'bigint'),
        ('mean_holding_hours', 'm.mean_holding_hours', 'double precision'),
        ('corpus_return_pct', '100 * m.return_ratio', 'double precision'),
        ('mdd_pct', '100 * m.mdd_ratio', 'double precision'),
        ('marked_mdd_pct', '100 * m.marked_mdd_ratio', 'double precision'),
        ('sharpe', 'm.sharpe', 'double precision'),
        ('sharpe_se', 'm.sharpe_se', 'double precision'),
        ('sortino', 'm.sortino', 'double precision'),
        ('calmar', 'm.calmar', 'double precision'),
        ('volatility_pct', '100 * m.volatility_ratio', 'double precision'),
        ('trades_executed', 'm.trades_executed', 'int'),
        ('trades_skipped_capital', 'm.trades_skipped_capital', 'int'),
        ('skipped_share_pct', '100 * m.skipped_share', 'double precision'),
        ('peak_utilisation_pct', '100 * m.peak_utilisation_ratio', 'double precision'),
        ('pain_reward', 'm.pain_reward', 'double precision'),
        ('pain_reward_no_skill', 'm.pain_reward_no_skill', 'double precision'),
        ('pain_reward_ratio', 'm.pain_reward_ratio', 'double precision'),
        ('traded_value_share_pct', '100 * m.traded_value_share', 'double precision'),
        ('stopped_trades', 'm.stopped_trades', 'int'),
        ('mean_post_sl_extension', 'm.mean_post_sl_extension', 'double precision'),
        ('stop_hunt_rate', 'm.stop_hunt_rate', 'double precision'),
        ('wse_p90', 'm.wse_p90', 'double precision'),
        ('skill_n', 'm.skill_n', none),
        ('excess_hits', 'm.excess_hits', 'double precision'),
        ('expected_hits', 'm.expected_hits', 'double precision'),
        ('excess_z', 'm.excess_z', 'double precision'),
        ('post_mean_r', 'm.post_mean_r', none),
        ('post_sd_r', 'm.post_sd_r', none),
        ('shrink', 'm.shrink', none),
        ('prob_edge', 'm.prob_edge', none),
        ('advisor_q', 'm.advisor_q', 'double precision'),
        ('mdd_p95_pct', '100 * m.mdd_p95', 'double precision'),
    ]) }}
{%- endmacro %}

{% macro rule_columns() %}
        {%- for name, expression, _ in rule_column_list() %}
        {{ expression }} as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
{%- endmacro %}

{# Their names alone, where they have been made already. #}
{% macro rule_names() %}
        {%- for name, _, _ in rule_column_list() %}
        m.{{ name }}{{ "," if not loop.last }}
        {%- endfor %}
{%- endmacro %}

{# The same columns for a cell below half its minimum of trades. #}
{% macro thin_columns() %}
        {%- for name, expression, empty_type in rule_column_list() %}
        {{ expression if empty_type is none else "null::" ~ empty_type }} as {{ name }}{{ "," if not loop.last }}
        {%- endfor %}
{%- endmacro %}
