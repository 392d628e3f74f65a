"""Lists are to choose from: what is large about a thing is in the answer about that thing alone."""

import httpx
import pytest


@pytest.mark.parametrize(
    ("path", "identifier", "large"),
    [
        ("/v1/models", "model_example", {"architecture", "provenance"}),
        ("/v1/training-jobs", "job_example", {"architecture"}),
        ("/v1/architectures", "arch_example", {"layers", "summary"}),
    ],
)
def test_an_entry_is_the_thing_without_what_is_large(
    path: str, identifier: str, large: set[str], http: httpx.Client
) -> None:
    whole = http.get(f"{path}/{identifier}").json()
    listed = http.get(path, params={"limit": 200}).json()["data"]
    (entry,) = [entry for entry in listed if entry["id"] == identifier]
    assert large <= set(whole)
    assert entry == {name: value for name, value in whole.items() if name not in large}
