"""Vectorised root finding: each element converges by itself, so a sweep's row equals the point exactly."""

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

Given = TypeVar("Given")


def solve_increasing(
    function: Callable[[Array, Given], Array], low: Array, high: Array, given: Given, *, first: float = 0.5
) -> Array:
    """Return x in [low, high] where an increasing function crosses zero, elementwise.

    Where the function is already positive at `low` the answer is `low`; where it is still negative at
    `high` the answer is `high`; where it is NaN at either end the answer is NaN. Chandrupatla's method:
    inverse quadratic steps guarded by bisection.

    Parameters
    ----------
    function : of x and `given`.
    given : what the function needs besides x: arrays in dataclasses, dicts and tuples. Elements that have
        converged are dropped from it, so that a few slow ones do not hold up a million. None drops nothing.
    first : where to look first, as a share of the bracket from `high` down.

    References
    ----------
    T. R. Chandrupatla, Advances in Engineering Software 28 (1997) 145-149. (scipy has it, but scipy is
    an extra: the base install stays small.)
    """
    b, a = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    a, b, fa, fb = np.broadcast_arrays(a, b, function(a, given), function(b, given))
    best = np.select([np.isnan(fa) | np.isnan(fb), fb >= 0.0, fa <= 0.0], [np.nan, b, a], default=b)
    is_open = (fb < 0.0) & (fa > 0.0)
    return _iterate(function, (a, b, fa, fb), given, best, ~is_open, first)


def _iterate(
    function: Callable[[Array, Given], Array],
    bracket: tuple[Array, ...],
    given: Given,
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
        if given is not None and done.size >= _WORTH_DROPPING and left < _STILL_OPEN * done.size:
            result.reshape(-1)[places] = best.reshape(-1)
            index, shape = np.flatnonzero(~done), done.shape
            places, given = places.take(index), take_flat(given, shape, index)
            a, b, c, fa, fb, fc, t, best = (take_flat(v, shape, index) for v in (a, b, c, fa, fb, fc, t, best))
            done = np.zeros(left, dtype=bool)
        x = a + t * (b - a)
        fx = function(x, given)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        smaller = np.abs(fa) < np.abs(fb)
        xm, fm = np.where(smaller, a, b), np.where(smaller, fa, fb)
        limit = _TOLERANCE * np.maximum(np.abs(xm), 1.0) / np.maximum(np.abs(b - a), np.finfo(np.float64).tiny)
        best = np.where(done, best, xm)
        done = done | (limit > 0.5) | (fm == 0.0)  # noqa: PLR2004 - half the bracket
        t = _next_fraction(a, b, c, fa, fb, fc, limit)
    result.reshape(-1)[places] = best.reshape(-1)
    return result


def take_flat(given: Any, shape: tuple[int, ...], index: NDArray[np.intp]) -> Any:  # noqa: ANN401 - a struct of arrays
    """Return a struct whose arrays, broadcast to a shape and laid flat, keep some elements; numbers stay as they are.

    >>> take_flat((np.arange(3.0), 2.0), (3,), np.array([0, 2]))
    (array([0., 2.]), 2.0)
    """
    if dataclasses.is_dataclass(given) and not isinstance(given, type):
        parts = {f.name: take_flat(getattr(given, f.name), shape, index) for f in dataclasses.fields(given)}
        return dataclasses.replace(given, **parts)
    if isinstance(given, dict):
        return {name: take_flat(part, shape, index) for name, part in given.items()}
    if isinstance(given, tuple):
        return tuple(take_flat(part, shape, index) for part in given)
    if np.ndim(given) == 0:
        return given
    whole = given if np.shape(given) == shape else np.broadcast_to(given, shape)
    return whole.reshape(-1).take(index)


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
