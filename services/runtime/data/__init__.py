"""PostgreSQL: the pool, migrations, epochs, and changes that others follow."""
