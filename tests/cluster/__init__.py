"""Several servers on services that they share: PostgreSQL and others, real ones, started for these tests."""
