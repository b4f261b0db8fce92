{# A view is made anew only where its query has changed. dbt's own way drops and makes it in every build: that waits
   for every reader, lets the next ones wait behind it, takes rights given by hand away, and whatever reads the view. #}
{% materialization view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- set target_relation = this.incorporate(type='view') -%}
    {%- set probe = 'dbt_probe_' ~ this.identifier -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- set state = namespace(is_same=false) -%}
    {% if existing is not none and existing.is_view %}
        {% call statement('probe', fetch_result=True) -%}
            create temporary view {{ probe }} as {{ sql }};
            select
                pg_get_viewdef('pg_temp.{{ probe }}'::regclass)
                = pg_get_viewdef('{{ target_relation.include(database=False) }}'::regclass)
        {%- endcall %}
        {%- set state.is_same = load_result('probe')['data'][0][0] -%}
        {% do run_query('drop view pg_temp.' ~ probe) %}
    {% endif %}

    {% if state.is_same %}
        {% call statement('main') -%}
            select 1
        {%- endcall %}
    {% else %}
        {% call statement('lock_timeout') -%}
            set local lock_timeout = '60s'
        {%- endcall %}
        {% if existing is not none %}
            {% do adapter.drop_relation(existing) %}
        {% endif %}
        {% call statement('main') -%}
            {{ get_create_view_as_sql(target_relation, sql) }}
        {%- endcall %}
        {% do persist_docs(target_relation, model) %}
    {% endif %}

    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
