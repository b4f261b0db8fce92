{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date and advisor, ranked by the shrunk mean net R.
with m as (
    select * from {{ ref('int_rules') }}
    where level = 'ADVISOR' and {{ in_range('as_of_date') }}
)

select
    rank() over (partition by m.as_of_date order by m.post_mean_r desc, m.advisor_id)::int as rank,
    {{ rule_names() }}
from m
