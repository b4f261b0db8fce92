{# A condition is true (not false, not null) in every row. #}
{% test holds_everywhere(model, condition) %}
{{ config(meta={'description': 'True in every row: ' ~ condition}) }}
select *
from {{ model }}
where not coalesce({{ condition }}, false)
{% endtest %}
