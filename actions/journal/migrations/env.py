"""Alembic's entry: the connection, in a transaction of its own, is handed in by `actions.journal.schema`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
