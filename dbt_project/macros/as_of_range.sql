{# Quote a variable as a date literal, after checking that it is one. #}
{% macro date_literal(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.match('^[0-9]{4}-[0-9]{2}-[0-9]{2}$', value) -%}
        {{ exceptions.raise_compiler_error("the variable " ~ name ~ " must be a date like 2025-06-30, not '" ~ value ~ "'") }}
    {%- endif -%}
    date '{{ value }}'
{%- endmacro %}

{# Condition on the as-of dates to build; without variables everything is built. #}
{% macro in_range(column) -%}
    {%- if var('min_date') or var('max_date') -%}
        {{ column }} between {{ date_literal('min_date') }} and {{ date_literal('max_date') }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}

{# A whole number or a ratio from a variable; anything else stops the build. #}
{% macro number(name) -%}
    {%- set value = var(name) | string -%}
    {%- if not modules.re.match('^[0-9]+([.][0-9]+)?$', value) -%}
        {{ exceptions.raise_compiler_error("the variable " ~ name ~ " must be a number >= 0, not '" ~ value ~ "'") }}
    {%- endif -%}
    {{ value }}
{%- endmacro %}

{# One of a few words from a variable, quoted. #}
{% macro word(name, allowed) -%}
    {%- if var(name) not in allowed -%}
        {{ exceptions.raise_compiler_error("the variable " ~ name ~ " must be one of " ~ allowed ~ ", not '" ~ var(name) ~ "'") }}
    {%- endif -%}
    '{{ var(name) }}'
{%- endmacro %}

{# Run before a model: room for hashing, sums in one fixed order, and the range emptied, so that a date
   that lost its rows loses them here too. #}
{% macro prepare_range() -%}
    set local work_mem = '128MB';
    set local lock_timeout = '60s';
    set local max_parallel_workers_per_gather = 0;
    set local jit = off;
    {# tables written a moment ago have no statistics yet: a nested loop over them would take minutes #}
    set local enable_nestloop = off;
    set local enable_mergejoin = off;
    {% if is_incremental() -%}
    delete from {{ this }} where {{ in_range('as_of_date') }};
    {%- endif %}
{%- endmacro %}

{# Run after a model: statistics of the columns that anybody filters or joins by. Those of all seventy columns
   would take as long as building some of the models. #}
{% macro know_keys(columns=['as_of_date', 'rule_text', 'level']) -%}
    analyze {{ this }} ({{ columns | join(', ') }})
{%- endmacro %}
