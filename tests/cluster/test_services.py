"""The services that the other tests share start, answer, and can be killed and started again."""

from __future__ import annotations

import os

import httpx
import pytest

from tests.cluster.postgres import PostgresServer
from tests.cluster.seaweed import S3Server

pytestmark = pytest.mark.cluster


def test_postgres_keeps_what_it_has_committed_when_it_is_killed(postgres: PostgresServer) -> None:
    with postgres.connect() as connection:
        assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
        connection.execute("CREATE TABLE kept AS SELECT 17 AS number")
    postgres.kill()
    postgres.start()
    with postgres.connect() as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (17,)
        connection.execute("DROP TABLE kept")
    assert postgres.owner() != 0 or os.geteuid() != 0


def test_the_object_store_says_that_it_is_well(s3: S3Server) -> None:
    """As docker/compose.cluster.yaml and the manifests ask it."""
    assert httpx.get(f"{s3.endpoint}/healthz", trust_env=False).status_code == 200
