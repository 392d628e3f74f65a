"""Errors about fields are made in one place, for JSON bodies and for parameters."""

import pytest

from app.errors import Conflict, FieldError, Invalid, NotFound, TooLarge
from app.web.answers.problems import respond


def test_an_error_about_a_field_says_where_and_what_would_fix_it() -> None:
    error = Invalid.at("dataset", "it is gone", "take another one", code="gone")
    assert error.detail == "dataset: it is gone"
    assert error.message == "dataset: it is gone; take another one"
    assert error.code == "gone"
    assert error.errors == (FieldError("it is gone", pointer="/dataset", hint="take another one"),)


def test_keys_lead_to_what_lies_deeper() -> None:
    error = Conflict.at(("layers", 3, "a/b~c"), "taken")
    assert error.detail == "layers[3].a/b~c: taken"
    assert error.errors[0].pointer == "/layers/3/a~1b~0c"
    assert error.errors[0].place == "layers[3].a/b~c"


def test_a_parameter_is_not_a_place_in_the_body() -> None:
    error = TooLarge.at("files", "too many", parameter=True, numbers={"most": 3})
    (field,) = error.errors
    assert (field.pointer, field.parameter) == (None, "files")
    assert error.detail == "files: too many"
    assert error.numbers == {"most": 3}


def test_a_whole_body_has_the_empty_pointer() -> None:
    error = Invalid.at((), "it is nested too deep")
    assert error.detail == error.message == "it is nested too deep"
    assert error.errors[0].pointer == ""


def test_of_several_faults_the_first_is_told_and_the_others_are_counted() -> None:
    error = Invalid.listing([FieldError.at(("images", number), "no picture") for number in range(3)])
    assert error.detail == "images[0]: no picture (and 2 more)"
    assert [field.pointer for field in error.errors] == ["/images/0", "/images/1", "/images/2"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid.at("a", "b"), 422),
        (Conflict.at("a", "b"), 409),
        (NotFound.at("a", "b"), 404),
        (NotFound.of("model", "x"), 404),
        (TooLarge.at("a", "b"), 413),
    ],
)
def test_every_kind_keeps_its_status(error: Invalid, status: int) -> None:
    assert respond(error).status_code == status
