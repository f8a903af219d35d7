"""A step's Jacobian is that of torch.func, whatever the cell."""

import pytest
import torch
from hypothesis import given

import elman
from diagnose.test_gradient_flow import three_states
from elman.diagnose.jacobian import step_jacobians
from elman.diagnose.trajectory import run_in_float64
from graph.plain import draw_numbers, values_of
from graph.random_cells import numbers_away_from_kinks, quick, random_cells


def compare(cell, numbers):
    """Hold every step's Jacobian against torch.func.jacrev of the equations, one by one."""
    lengths = torch.full((numbers.x.shape[1],), len(numbers.x))
    run = run_in_float64(cell, numbers.parameters, numbers.x, numbers.states, lengths)
    for b in range(numbers.x.shape[1]):
        found, states = step_jacobians(run, b), [state[b] for state in numbers.states]
        for t, x in enumerate(numbers.x[:, b]):

            def step(*states, x=x):
                values = values_of(cell.nodes, cell, x, states, numbers)
                return tuple(values[node] for node in cell.next_states)

            blocks = torch.func.jacrev(step, argnums=tuple(range(len(states))))(*states)
            expected = torch.cat([torch.cat(row, 1) for row in blocks])
            torch.testing.assert_close(found[t], expected, rtol=1e-9, atol=1e-9)
            states = step(*states)


@pytest.mark.parametrize(
    "cell", [*elman.cells.CATALOGUE.values(), three_states], ids=lambda c: c.name
)
def test_every_jacobian_is_that_of_jacrev(cell):
    compare(cell, draw_numbers(cell, 0))


@quick
@given(random_cells())
def test_so_is_that_of_any_cell_of_the_language(cell):
    compare(cell, numbers_away_from_kinks(cell, time=2, batch=1))
