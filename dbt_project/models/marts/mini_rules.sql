{{ config(materialized='view') }}
-- One row per as-of date and mini rule, with and without regime, with a closed trade in the window.
{{ rules_model(['MINI', 'MINI_REGIME']) }}
