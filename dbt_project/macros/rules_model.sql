{# A mart of rules at some levels: a view over the judged and the thin ones, which are written beside each other: within
   one build a cell that changed its kind may stand in both or in neither for a moment. #}
{% macro rules_model(levels) %}
{%- set level_list = "'" ~ levels | join("', '") ~ "'" -%}
select
    {{ rule_names() }},
    m.original_failed_gates,
    m.desk_failed_gates,
    m.gates_version,
    cardinality(m.original_failed_gates) = 0 as original_passes,
    cardinality(m.desk_failed_gates) = 0 as desk_passes
from {{ ref('int_rules') }} as m
where m.level in ({{ level_list }}) and m.original_failed_gates is not null and m.desk_failed_gates is not null
union all
select
    {{ thin_columns() }},
    m.original_failed_gates,
    m.desk_failed_gates,
    m.gates_version,
    false as original_passes,
    false as desk_passes
from {{ ref('int_thin_rules') }} as m
where m.level in ({{ level_list }})
{% endmacro %}
