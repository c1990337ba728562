"""Fixtures of the black-box tests."""

import pytest

from cell import Cell


@pytest.fixture
def cell():
    """Three daemons, just started."""
    with Cell(nodes=3) as running:
        yield running
