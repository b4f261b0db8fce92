{# A condition is true (not false, not null) in every row. #}
{% test holds_everywhere(model, condition) %}
select *
from {{ model }}
where not coalesce({{ condition }}, false)
{% endtest %}
