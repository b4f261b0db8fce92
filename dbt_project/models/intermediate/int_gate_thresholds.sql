-- Thresholds side by side: one row per profile, level and category.
{% set gates = ['min_trades', 'min_days', 'win_rate', 'excess_hits', 'sharpe', 'profit_factor', 'mdd', 'pain_reward',
    'pain_reward_ratio', 'trust', 'skipped_share', 'traded_value_share', 'post_mean_r', 'prob_edge'] %}
{% set adverse = ['min_trades', 'mean_return', 'profit_factor', 'volatility', 'win_rate', 'excess_z', 'first_half',
    'second_half', 'reverse_net'] %}
select
    profile,
    rule_level as level,
    category,
    gates_version,
    {% for gate in gates -%}
    max(threshold) filter (where gate = '{{ gate }}') as {{ gate }},
    {% endfor -%}
    {% for gate in adverse -%}
    max(threshold) filter (where gate = 'adverse_{{ gate }}') as adverse_{{ gate }}{{ "," if not loop.last }}
    {% endfor %}
from {{ ref('stg_gate_thresholds') }}
group by profile, rule_level, category, gates_version
