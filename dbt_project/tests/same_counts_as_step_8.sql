{{ config(meta={'description': 'The counts of step 8 and of the sums made here agree, and no replayed group is missing on either side'}) }}
-- Step 8 counts the trades of a group on its own: both counts agree, and no replayed group is missing on either side.
-- Where the groups and counts of a day have the same hashes on both sides, nothing of it is compared row by row.
{% set sides = [
    ('step_8', ref('stg_group_metrics'), 'losing_streak_max is not null'),
    ('here', ref('int_rule_cells'), 'true'),
] %}
with {% for side, table, is_replayed in sides -%}
{{ side }} as (
    select
        as_of_date,
        count(*) as count_groups,
        bit_xor(hash_record_extended(row(rule_text, n::int), 0)) as content
    from {{ table }}
    where {{ in_range('as_of_date') }} and {{ is_replayed }}
    group by as_of_date
),

{% endfor -%}
differing as (
    select as_of_date
    from step_8
    full outer join here using (as_of_date)
    where step_8.count_groups is distinct from here.count_groups or step_8.content is distinct from here.content
)

select
    as_of_date,
    rule_text,
    g.n as counted_by_step_8,
    s.n as counted_here
from (
    select * from {{ ref('stg_group_metrics') }}
    where as_of_date in (select as_of_date from differing) and losing_streak_max is not null
) as g
full outer join (
    select * from {{ ref('int_rule_cells') }}
    where as_of_date in (select as_of_date from differing)
) as s using (as_of_date, rule_text)
where g.n is distinct from s.n
