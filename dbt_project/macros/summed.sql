{# Sums of the parts, which come in the order of their numbers: so the bits do not depend on the plan. #}
{% macro summed(counts, sums) -%}
        {% for column in counts -%}
        sum({{ column }})::int as {{ column }},
        {% endfor -%}
        {% for column in sums -%}
        sum({{ column }}) as {{ column }}{{ "," if not loop.last }}
        {% endfor -%}
{%- endmacro %}
