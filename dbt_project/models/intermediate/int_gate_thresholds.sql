{{ config(tags=['inner']) }}
-- Thresholds side by side: one row per profile, level and category.
select
    profile,
    rule_level as level,
    category,
    gates_version,
    {% for gate, _, _ in rule_checks('desk') -%}
    max(threshold) filter (where gate = '{{ gate }}') as {{ gate }},
    {% endfor -%}
    {% for gate, _, _ in adverse_checks() -%}
    max(threshold) filter (where gate = 'adverse_{{ gate }}') as adverse_{{ gate }}{{ "," if not loop.last }}
    {% endfor %}
from {{ ref('stg_gate_thresholds') }}
group by profile, rule_level, category, gates_version
