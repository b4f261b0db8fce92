{{ config(meta={
    'description': 'Every group of step 8 has its row among the rules, and nothing else has one',
    'dagster': {'ref': {'name': 'int_rules'}},
}) }}
-- A replayed group without its replay would be lost in the join of int_rules: counted day by day.
select
    as_of_date,
    written.count_groups as count_written,
    judged.count_groups as count_judged
from (
    select as_of_date, count(*) as count_groups
    from (
        select as_of_date from {{ ref('stg_group_metrics') }}
        where {{ in_range('as_of_date') }}
        union all
        select as_of_date from {{ ref('stg_thin_groups') }}
        where {{ in_range('as_of_date') }}
    ) as groups
    group by as_of_date
) as written
full outer join (
    select as_of_date, count(*) as count_groups
    from (
        select as_of_date from {{ ref('int_rules') }}
        where {{ in_range('as_of_date') }}
        union all
        select as_of_date from {{ ref('int_thin_rules') }}
        where {{ in_range('as_of_date') }}
    ) as rules
    group by as_of_date
) as judged using (as_of_date)
where written.count_groups is distinct from judged.count_groups
