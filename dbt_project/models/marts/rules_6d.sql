{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date']}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date and 6D cell with a closed trade in the window.
{{ rules_model(['RULE_6D']) }}
