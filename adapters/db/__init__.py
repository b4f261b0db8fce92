"""PostgreSQL: table definitions, migrations, repositories, frames."""
