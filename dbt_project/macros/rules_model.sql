{# A mart of rules at some levels: every column, and the verdict of both profiles. Below half of its minimum a
   cell names that gate alone, since nothing else of it was computed. #}
{% macro rules_model(levels) %}
{%- set level_list = "'" ~ levels | join("', '") ~ "'" -%}
with m as (
    select * from {{ ref('int_rule_metrics') }}
    where level in ({{ level_list }})
),

o as (
    select * from {{ ref('int_gate_thresholds') }}
    where profile = 'original'
),

d as (
    select * from {{ ref('int_gate_thresholds') }}
    where profile = 'desk'
),

judged as (
    select
        {{ rule_columns() }},
        {{ failed_gates(rule_checks('original'), 'o') }} as original_failed_gates,
        {{ failed_gates(rule_checks('desk'), 'd') }} as desk_failed_gates,
        d.gates_version
    from m
    inner join o on o.level = m.level and o.category = m.category
    inner join d on d.level = m.level and d.category = m.category
),

thin as (
    select
        {{ thin_columns() }},
        array['min_trades'] as original_failed_gates,
        array['min_trades'] as desk_failed_gates,
        (select max(gates_version) from d) as gates_version
    from {{ ref('stg_group_metrics') }} as m
    where
        m.level in ({{ level_list }})
        and m.losing_streak_max is null
        and {{ in_range('m.as_of_date') }}
)

select
    *,
    cardinality(original_failed_gates) = 0 as original_passes,
    cardinality(desk_failed_gates) = 0 as desk_passes
from judged
union all
select
    *,
    false as original_passes,
    false as desk_passes
from thin
{% endmacro %}
