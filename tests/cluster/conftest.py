"""Fixtures of the black-box tests, and what they measured, printed at the end."""

import pytest

from cell import Cell

_measured = []


@pytest.fixture
def cell():
    """Three daemons, just started."""
    with Cell(nodes=3) as running:
        yield running


@pytest.fixture
def measured(request):
    """measured("42 ms"): what this test found out, for people to read."""
    return lambda text: _measured.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter):
    for line in _measured:
        terminalreporter.write_line("measured: " + line)
