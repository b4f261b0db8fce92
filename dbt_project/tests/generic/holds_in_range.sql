{# A condition is true (not false, not null) in every row of the built range. #}
{% test holds_in_range(model, condition) %}
{{ config(meta={'description': 'True in every row of the days that were built: ' ~ condition}) }}
select as_of_date
from {{ model }}
where {{ in_range('as_of_date') }} and not coalesce({{ condition }}, false)
{% endtest %}
