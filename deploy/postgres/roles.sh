#!/bin/bash
# Run once by the postgres image: roles and databases as the embedded runtime makes them; grants come by migrations.
set -euo pipefail

role() { # name password
    psql -v ON_ERROR_STOP=1 -v role="$1" -v password="$2" --username postgres --dbname postgres <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
SQL
}

role propdesk_owner "$DEPLOY_OWNER_PASSWORD"
role propdesk_pipeline "$DEPLOY_PIPELINE_PASSWORD"
role propdesk_daemon "$DEPLOY_DAEMON_PASSWORD"
role propdesk_reader "$DEPLOY_READER_PASSWORD"
role propdesk_access "$DEPLOY_ACCESS_PASSWORD"
role propdesk_notifier "$DEPLOY_NOTIFIER_PASSWORD"
role propdesk_dagster "$DEPLOY_DAGSTER_PASSWORD"

psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
ALTER ROLE propdesk_owner CREATEDB;
CREATE DATABASE propdesk OWNER propdesk_owner TEMPLATE template0;
CREATE DATABASE propdesk_dagster OWNER propdesk_dagster TEMPLATE template0;
SQL
