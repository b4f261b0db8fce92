{# A condition is true (not false, not null) in every row of the newest built day: enough for a view or a copy of rows
   that were tested where they are made, one day of which shows that it reads them as meant. #}
{% test holds_on_newest_day(model, condition) %}
{{ config(meta={'description': 'True in every row of the newest day that was built: ' ~ condition}) }}
select as_of_date
from {{ model }}
where
    as_of_date = (select max(as_of_date) from {{ source('research', 'group_metrics') }} where {{ in_range('as_of_date') }})
    and not coalesce({{ condition }}, false)
{% endtest %}
