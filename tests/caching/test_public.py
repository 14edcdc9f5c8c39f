"""The public names of the package: all there, all explained, all found by completion."""

import inspect

import pytest

import caching


@pytest.mark.parametrize("name", caching.__all__)
def test_every_public_name_is_found_and_explained(name):
    assert name in dir(caching)
    assert len(inspect.getdoc(getattr(caching, name)) or "") > 30
    with pytest.raises(AttributeError, match=f"no attribute '{name}_'"):
        getattr(caching, f"{name}_")
