{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date, profile and rule that passes all gates of the profile.
{% set columns = ['as_of_date', 'rule_text', 'level', 'advisor_id', 'category', 'period', 'regime', 'weekday',
    'session', 'n', 'n_days', 'win_rate_pct', 'profit_factor', 'mdd_pct', 'sharpe', 'post_mean_r', 'prob_edge',
    'trust_flag', 'trust_is_noise', 'gates_version'] %}
with rules as (
    select
        {{ columns | join(', ') }},
        cardinality(original_failed_gates) = 0 as original_passes,
        cardinality(desk_failed_gates) = 0 as desk_passes
    from {{ ref('int_rules') }}
    where
        {{ in_range('as_of_date') }}
        and (cardinality(original_failed_gates) = 0 or cardinality(desk_failed_gates) = 0)
)

select 'original' as profile, {{ columns | join(', ') }} from rules where original_passes
union all
select 'desk' as profile, {{ columns | join(', ') }} from rules where desk_passes
