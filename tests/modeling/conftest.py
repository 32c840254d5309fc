"""A language model to be adapted, of each kind."""

import pytest
from helpers_adapters import BACKBONES, Case


@pytest.fixture(params=BACKBONES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case.of(request.getfixturevalue(request.param))
