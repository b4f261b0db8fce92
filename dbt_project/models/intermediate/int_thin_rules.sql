{{ config(
    materialized='incremental',
    incremental_strategy='append',
    on_schema_change='fail',
    indexes=[{'columns': ['as_of_date', 'rule_text'], 'unique': true}],
    pre_hook="{{ prepare_range() }}",
    post_hook="{{ know_keys() }}"
) }}
-- One row per as-of date and cell below half its minimum of trades, of which there are three times as many as of all
-- others: counts, skill, and the one gate that it fails. A model of its own, so that it is written beside int_rules.
select
    m.*,
    (select max(gates_version) from {{ ref('int_gate_thresholds') }} where profile = 'desk') as gates_version,
    array['min_trades'] as original_failed_gates,
    array['min_trades'] as desk_failed_gates
from {{ ref('stg_thin_groups') }} as m
where {{ in_range('m.as_of_date') }}
