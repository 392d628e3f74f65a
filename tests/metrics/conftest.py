"""A server of several processes, as the tests of HTTP have it."""

from tests.http.conftest import several, several_url

__all__ = ["several", "several_url"]
