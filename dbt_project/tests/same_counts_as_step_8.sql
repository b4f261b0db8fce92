-- Step 8 counts the trades of a group on its own: both counts agree, and no group is missing on either side.
select
    g.as_of_date,
    coalesce(g.rule_text, s.rule_text) as rule_text,
    g.n as counted_by_step_8,
    s.n as counted_here
from (select * from {{ ref('stg_group_metrics') }} where {{ in_range('as_of_date') }}) as g
full outer join (select * from {{ ref('int_rule_cells') }} where {{ in_range('as_of_date') }}) as s
    on s.as_of_date = g.as_of_date and s.rule_text = g.rule_text
where g.n is distinct from s.n
