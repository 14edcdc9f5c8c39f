"""The error tree: as drawn, under one root, and catchable as the built-in kind."""

import re

import pytest

from caching import errors


def test_the_drawing_shows_every_class_with_its_base():
    drawn = dict(re.findall(r"(\w+) \((\w+)\)", errors.__doc__))
    defined = {
        name: item.__bases__[-1].__name__
        for name, item in vars(errors).items()
        if isinstance(item, type) and item is not errors.CachebrushError
    }
    assert drawn == defined


@pytest.mark.parametrize("error", [errors.ScheduleError, errors.ModelError, errors.RequestError])
def test_errors_are_ours_and_value_errors(error):
    assert issubclass(error, errors.CachebrushError)
    assert issubclass(error, ValueError)


def test_the_warning_is_not_an_error_of_ours():
    assert issubclass(errors.StochasticSamplerWarning, UserWarning)
    assert not issubclass(errors.StochasticSamplerWarning, errors.CachebrushError)
