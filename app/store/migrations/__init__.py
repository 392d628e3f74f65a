"""The changes of the database from version to version, run by Alembic when a server starts."""
