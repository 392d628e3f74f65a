"""What the errors on train, dev and test say."""

import pytest

from app.jobs.work.diagnosis import diagnose


@pytest.mark.parametrize(
    ("train", "dev", "test", "verdict", "said"),
    [
        (0.15, 0.16, 0.16, "bias", "15.0 %"),
        (0.01, 0.11, 0.12, "variance", "10.0 %"),
        (0.01, 0.02, 0.12, "dev_gap", "10.0 %"),
        (0.005, 0.01, 0.012, "low", "worst mistakes"),
        (0.15, 0.30, 0.30, "bias", "larger network"),
        (0.30, 0.10, 0.05, "bias", "30.0 %"),
        (0.10, None, 0.5, "unknown", "dev split"),
        (None, 0.1, 0.1, "unknown", "train"),
        (0.01, 0.2, None, "variance", "augmentation"),
    ],
)
def test_the_largest_part_gets_the_advice(
    train: float | None, dev: float | None, test: float | None, verdict: str, said: str
) -> None:
    errors = {"train": {"error": train}, "dev": {"error": dev}, "test": {"error": test}}
    found = diagnose(errors)
    assert found.verdict == verdict
    assert said in found.advice
    assert found.bias == train
    if None not in (train, dev):
        assert found.variance == pytest.approx(dev - train)  # type: ignore[operator]
