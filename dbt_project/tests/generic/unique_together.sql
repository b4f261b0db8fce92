{# No two rows of the built range share these columns. #}
{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as count_rows
from {{ model }}
where {{ in_range('as_of_date') }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}
