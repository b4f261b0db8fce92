{# A mart of rules at some levels: every column, and the verdict of both profiles. A view: what step 8 and
   int_rules hold is not written once more. Below half of its minimum a cell names that gate alone, since nothing
   else of it was computed; it is read from step 8's own table, because dbt drops whatever reads a view that it
   makes anew. A day that is not judged yet has no rows. #}
{% macro rules_model(levels) %}
{%- set level_list = "'" ~ levels | join("', '") ~ "'" -%}
with judged as (
    select
        {{ rule_columns() }},
        m.original_failed_gates,
        m.desk_failed_gates,
        m.gates_version
    from {{ ref('int_rules') }} as m
    where m.level in ({{ level_list }}) and m.original_failed_gates is not null and m.desk_failed_gates is not null
),

days as (
    select as_of_date, max(gates_version) as gates_version
    from {{ ref('int_rules') }}
    group by as_of_date
),

thin as (
    select
        {{ thin_columns() }},
        array['min_trades'] as original_failed_gates,
        array['min_trades'] as desk_failed_gates,
        days.gates_version
    from {{ source('research', 'group_metrics') }} as m
    inner join days on days.as_of_date = m.as_of_date
    where m.level in ({{ level_list }}) and m.losing_streak_max is null
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
