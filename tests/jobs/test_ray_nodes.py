"""What a node of a Ray cluster takes of the server's settings."""

from __future__ import annotations

from app.jobs.cluster.node import lacking


def test_a_node_keeps_its_own_variables_and_needs_no_file_of_a_secret_that_it_has() -> None:
    handed = {
        "CONVSERVE_CORES": "2",
        "CONVSERVE_DATA_DIR": "/a",
        "CONVSERVE_DATABASE_URL_FILE": "/run/secrets/url",
    }
    own = {"CONVSERVE_DATA_DIR": "/b", "CONVSERVE_DATABASE_URL": "postgresql+psycopg://node"}
    assert lacking(handed, own) == {"CONVSERVE_CORES": "2"}
