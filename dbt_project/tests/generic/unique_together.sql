{# No two rows of the built range share these columns. Rows that share them share a hash of them: only the rows
   of a hash that occurs twice are compared by their texts. #}
{% test unique_together(model, columns) %}
{{ config(meta={'description': 'No two rows of the days that were built share ' ~ columns | join(', ')}) }}
{%- set hashed = "hash_record_extended(row(" ~ columns | join(', ') ~ "), 0)" %}
with twice as (
    select {{ hashed }} as key_hash
    from {{ model }}
    where {{ in_range('as_of_date') }}
    group by 1
    having count(*) > 1
)

select {{ columns | join(', ') }}, count(*) as count_rows
from {{ model }}
where {{ in_range('as_of_date') }} and {{ hashed }} in (select key_hash from twice)
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
