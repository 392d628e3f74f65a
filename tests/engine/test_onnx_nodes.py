"""The node tests of the onnx package pass, all that a network can express; docs/onnx-nodes.md says which those are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.onnx_nodes.cases import OPERATORS, ROUNDED, Case, Listed, listed, reason
from tests.onnx_nodes.forms import PICTURE, batch, computed, fault, forms, run, written
from tests.onnx_nodes.table import PAGE, page, tallies


@pytest.fixture(scope="module")
def found() -> Listed:
    return listed()


def expressed(found: Listed, operator: str) -> list[Case]:
    return [case for case in found.cases if case.operator == operator and reason(case) is None]


@pytest.mark.parametrize("operator", OPERATORS)
def test_what_a_network_can_express_passes(found: Listed, operator: str, tmp_path: Path) -> None:
    cases = expressed(found, operator)
    assert cases
    assert [wrong for case in cases if (wrong := fault(case, tmp_path))] == []


def test_the_page_says_how_many_tests_there_are_and_why_some_are_left_out(found: Listed) -> None:
    text = page(found, tallies(found, trusting=True))
    assert PAGE.read_text(encoding="utf-8") == text, "`python -m tests.onnx_nodes` writes it anew"


@pytest.mark.parametrize(
    "operator", ["Conv", "Relu", "Concat", "Shape"]
)  # one for each way to express a test
def test_other_numbers_than_expected_are_a_fault(found: Listed, operator: str, tmp_path: Path) -> None:
    case = expressed(found, operator)[0]
    for form in forms(case):
        with pytest.raises(AssertionError):
            run(case, replace(form, expected=form.expected + 1), tmp_path)


def test_sizes_that_are_rounded_are_those_of_onnx_runtime_and_not_of_the_test(
    found: Listed, tmp_path: Path
) -> None:
    cases = [case for case in found.cases if reason(case) == ROUNDED]
    assert len(cases) == 2
    for case in cases:
        form = batch(case, 0)
        path = written(case, form, tmp_path)
        (theirs,) = onnxruntime.InferenceSession(path).run(None, {PICTURE: form.picture})
        np.testing.assert_allclose(computed(form, path), theirs, rtol=1e-5)
        assert np.abs(theirs - form.expected).max() > 0.1
