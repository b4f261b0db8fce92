{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date and mini rule, with and without regime, with a closed trade in the window.
{{ rules_model(['MINI', 'MINI_REGIME']) }}
