-- Thresholds, one row per profile, level, category and gate.
select
    profile,
    rule_level,
    category,
    gate,
    comparison,
    threshold,
    gates_version
from {{ source('ref', 'gate_thresholds') }}
