"""Vectorised root finding: each element converges by itself, so a sweep's row has the bits of the point.

A test compares rows with points bit for bit, so an element must never see its neighbours: no common step size, no
common stopping rule, no operation whose rounding depends on an array's length.

The function to solve takes everything it reads besides x as its second argument, `inputs`, and must not close over
arrays. A few hard elements of a million would otherwise be evaluated beside 999,990 that are done; the solver drops
these, and it can drop from x and from `inputs` only. A closure over a full-size array would meet a shorter x.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.serving.normal import Array, Mask

_MAX_STEPS = 100
_WORTH_DROPPING = 256
"""Elements below which dropping the converged ones costs more than it saves."""
_STILL_OPEN = 0.9
_TOLERANCE = 1e-12
"""Relative where x is above 1, absolute below."""

Inputs = TypeVar("Inputs")


def solve_increasing(
    function: Callable[[Array, Inputs], Array], low: Array, high: Array, inputs: Inputs, *, first: float = 0.5
) -> Array:
    """Return the root of an increasing function in [low, high], elementwise.

    Chandrupatla's method: inverse quadratic steps, guarded by bisection.

    Parameters
    ----------
    function : of x and `inputs`, of the same shape as x; increasing in x, unit of its values any. It must read no
        array but these two (see the module).
    low, high : ends of the bracket [unit of x]; they broadcast with what `function` returns.
    inputs : what the function needs besides x: numbers and arrays in dataclasses, dicts and tuples. None drops nothing.
    first : where to look first, as a share of the bracket from `high` down [1].

    Returns
    -------
    Array
        x [unit of x] within 1e-12 (relative where x is above 1). `low` where the function is already positive there,
        `high` where it is still negative there, NaN where it is NaN at either end.

    References
    ----------
    T. R. Chandrupatla, "A new hybrid quadratic/bisection algorithm for finding the zero of a nonlinear function without
    using derivatives", Advances in Engineering Software 28 (1997) 145-149. scipy has it, but scipy is an extra: the
    base install stays small.

    Examples
    --------
    >>> float(solve_increasing(lambda x, target: x**2 - target, np.array(0.0), np.array(4.0), np.array(9.0)))
    3.0
    """
    b, a = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    a, b, fa, fb = np.broadcast_arrays(a, b, function(a, inputs), function(b, inputs))
    best = np.select([np.isnan(fa) | np.isnan(fb), fb >= 0.0, fa <= 0.0], [np.nan, b, a], default=b)
    is_open = (fb < 0.0) & (fa > 0.0)
    return _iterate(function, (a, b, fa, fb), inputs, best, ~is_open, first)


def _iterate(
    function: Callable[[Array, Inputs], Array],
    bracket: tuple[Array, ...],
    inputs: Inputs,
    best: Array,
    done: Mask,
    first: float,
) -> Array:
    """Return the roots inside brackets (a, b, f(a), f(b)) with f(b) < 0 < f(a), and `best` where it is done already."""
    a, b, fa, fb = bracket
    c, fc, t = a, fa, np.full(np.shape(a), first)
    result, places = np.array(best, order="C"), np.arange(best.size)
    for _ in range(_MAX_STEPS):
        left = np.count_nonzero(~done)
        if left == 0:
            break
        # An element that is done keeps its root in `best`; dropping it does not change the others' arithmetic.
        if inputs is not None and done.size >= _WORTH_DROPPING and left < _STILL_OPEN * done.size:
            result.reshape(-1)[places] = best.reshape(-1)
            index, shape = np.flatnonzero(~done), done.shape
            places, inputs = places.take(index), take_flat(inputs, shape, index)
            a, b, c, fa, fb, fc, t, best = (take_flat(v, shape, index) for v in (a, b, c, fa, fb, fc, t, best))
            done = np.zeros(left, dtype=bool)
        x = a + t * (b - a)
        fx = function(x, inputs)
        keeps_b = np.sign(fx) == np.sign(fa)
        c, fc = np.where(keeps_b, a, b), np.where(keeps_b, fa, fb)
        b, fb = np.where(keeps_b, b, a), np.where(keeps_b, fb, fa)
        a, fa = x, fx
        a_is_nearer = np.abs(fa) < np.abs(fb)
        xm, fm = np.where(a_is_nearer, a, b), np.where(a_is_nearer, fa, fb)
        limit = _TOLERANCE * np.maximum(np.abs(xm), 1.0) / np.maximum(np.abs(b - a), np.finfo(np.float64).tiny)
        best = np.where(done, best, xm)
        done = done | (limit > 0.5) | (fm == 0.0)  # noqa: PLR2004 - half the bracket
        t = _next_fraction(a, b, c, fa, fb, fc, limit)
    result.reshape(-1)[places] = best.reshape(-1)
    return result


def take_flat(columns: Any, shape: tuple[int, ...], index: NDArray[np.intp]) -> Any:  # noqa: ANN401 - a struct of arrays
    """Return a struct whose arrays, broadcast to a shape and laid flat, keep some elements; numbers stay as they are.

    Parameters
    ----------
    columns : dataclasses, dicts and tuples of arrays that broadcast to `shape`, and numbers.
    shape : shape of the elements that `index` counts.
    index : positions to keep, in C order.

    Examples
    --------
    >>> take_flat((np.arange(3.0), 2.0), (3,), np.array([0, 2]))
    (array([0., 2.]), 2.0)
    """
    if dataclasses.is_dataclass(columns) and not isinstance(columns, type):
        parts = {f.name: take_flat(getattr(columns, f.name), shape, index) for f in dataclasses.fields(columns)}
        return dataclasses.replace(columns, **parts)
    if isinstance(columns, dict):
        return {name: take_flat(part, shape, index) for name, part in columns.items()}
    if isinstance(columns, tuple):
        return tuple(take_flat(part, shape, index) for part in columns)
    if np.ndim(columns) == 0:
        return columns
    # Most columns have the full shape already; broadcasting them again costs more than the comparison.
    full = columns if np.shape(columns) == shape else np.broadcast_to(columns, shape)
    return full.reshape(-1).take(index)


def _next_fraction(a: Array, b: Array, c: Array, fa: Array, fb: Array, fc: Array, limit: Array) -> Array:
    """Return where in the bracket to look next: an inverse quadratic step where it is safe, else the middle."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        xi = (a - b) / (c - b)
        phi = (fa - fb) / (fc - fb)
        safe = (np.square(phi) < xi) & (np.square(1.0 - phi) < 1.0 - xi)
        step = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
    t = np.where(safe & np.isfinite(step), step, 0.5)
    edge = np.minimum(limit, 0.5)
    return np.asarray(np.clip(t, edge, 1.0 - edge))
