"""The most probable classes, found without sorting all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.models.prediction import best


@given(
    arrays.arrays(
        np.float32,
        st.integers(1, 300),
        elements=st.one_of(st.sampled_from([0.0, 0.25, 0.5, float("nan")]), st.floats(0, 1, width=32)),
    ),
    st.integers(1, 30),
)
def test_they_are_the_first_of_a_stable_sort(numbers: np.ndarray, count: int) -> None:
    assert best(numbers, count) == np.argsort(-numbers, kind="stable")[:count].tolist()
