{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- What switched on or off since the as-of date before, and which gates did it: one row per as-of date, profile
-- and rule that changed.
-- Every day with a rule has an advisor's row, of which there are few.
with days as (
    select as_of_date, lag(as_of_date) over (order by as_of_date) as previous_date
    from (select distinct as_of_date from {{ ref('int_rules') }} where level = 'ADVISOR') as known
),

wanted as (
    select as_of_date, previous_date from days
    where previous_date is not null and {{ in_range('as_of_date') }}
),

looked_at as (
    select as_of_date from wanted
    union
    select previous_date from wanted
),

rules as (
    select as_of_date, rule_text, level, advisor_id, original_failed_gates, desk_failed_gates
    from {{ ref('int_rules') }}
    where as_of_date in (select as_of_date from looked_at) and level <> 'ADVISOR'
),

passing as (
    select as_of_date, 'original' as profile, rule_text, level, advisor_id from rules
    where cardinality(original_failed_gates) = 0
    union all
    select as_of_date, 'desk' as profile, rule_text, level, advisor_id from rules
    where cardinality(desk_failed_gates) = 0
),

-- what passes on one of two neighbouring days only, and the day whose gates say why
changed as (
    select
        w.as_of_date, w.previous_date, now.profile, now.rule_text, now.level, now.advisor_id, 'ON' as change,
        w.previous_date as failed_date
    from wanted as w
    inner join passing as now on now.as_of_date = w.as_of_date
    left join passing as before
        on before.as_of_date = w.previous_date and before.profile = now.profile and before.rule_text = now.rule_text
    where before.rule_text is null
    union all
    select
        w.as_of_date, w.previous_date, before.profile, before.rule_text, before.level, before.advisor_id, 'OFF' as change,
        w.as_of_date as failed_date
    from wanted as w
    inner join passing as before on before.as_of_date = w.previous_date
    left join passing as now
        on now.as_of_date = w.as_of_date and now.profile = before.profile and now.rule_text = before.rule_text
    where now.rule_text is null
)

select
    c.as_of_date,
    c.previous_date,
    c.profile,
    c.rule_text,
    c.level,
    c.advisor_id,
    c.change,
    coalesce(
        case c.profile when 'original' then r.original_failed_gates else r.desk_failed_gates end,
        array['min_trades']
    ) as gates
from changed as c
left join rules as r on r.as_of_date = c.failed_date and r.rule_text = c.rule_text
