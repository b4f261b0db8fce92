{# A mart of rules at some levels: a view, since int_rules holds every row already, the judged and the thin ones
   written in one transaction. #}
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
{% endmacro %}
