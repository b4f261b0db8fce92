{{ config(materialized='view') }}
-- One row per as-of date and 6D cell with a closed trade in the window.
{{ rules_model(['RULE_6D']) }}
