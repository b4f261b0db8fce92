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
with days as (
    select as_of_date, lag(as_of_date) over (order by as_of_date) as previous_date
    from (select distinct as_of_date from {{ ref('mini_rules') }}) as known
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
    select
        as_of_date, rule_text, level, advisor_id, original_passes, desk_passes, original_failed_gates, desk_failed_gates
    from {{ ref('rules_6d') }}
    where as_of_date in (select as_of_date from looked_at) and trades_executed is not null
    union all
    select
        as_of_date, rule_text, level, advisor_id, original_passes, desk_passes, original_failed_gates, desk_failed_gates
    from {{ ref('mini_rules') }}
    where as_of_date in (select as_of_date from looked_at) and trades_executed is not null
),

states as (
    select as_of_date, 'original' as profile, rule_text, level, advisor_id, original_passes as passes, original_failed_gates as failed
    from rules
    union all
    select as_of_date, 'desk' as profile, rule_text, level, advisor_id, desk_passes as passes, desk_failed_gates as failed
    from rules
),

switched_on as (
    select
        w.as_of_date, w.previous_date, s.profile, s.rule_text, s.level, s.advisor_id, 'ON' as change,
        coalesce(p.failed, array['min_trades']) as gates
    from wanted as w
    inner join states as s on s.as_of_date = w.as_of_date and s.passes
    left join states as p on p.as_of_date = w.previous_date and p.profile = s.profile and p.rule_text = s.rule_text
    where not coalesce(p.passes, false)
),

switched_off as (
    select
        w.as_of_date, w.previous_date, p.profile, p.rule_text, p.level, p.advisor_id, 'OFF' as change,
        coalesce(s.failed, array['min_trades']) as gates
    from wanted as w
    inner join states as p on p.as_of_date = w.previous_date and p.passes
    left join states as s on s.as_of_date = w.as_of_date and s.profile = p.profile and s.rule_text = p.rule_text
    where not coalesce(s.passes, false)
)

select * from switched_on
union all
select * from switched_off
