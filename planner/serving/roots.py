"""Vectorised root finding: each element converges by itself, so a sweep's row equals the point exactly."""

from collections.abc import Callable

import numpy as np

from planner.physics.lengths import Array

_MAX_STEPS = 100


def solve_increasing(function: Callable[[Array], Array], low: Array, high: Array, *, tolerance: float = 1e-13) -> Array:
    """Return x in [low, high] where an increasing function crosses zero, elementwise.

    Where the function is already positive at `low` the answer is `low`; where it is still negative at
    `high` the answer is `high`. Chandrupatla's method: inverse quadratic steps guarded by bisection.

    References
    ----------
    T. R. Chandrupatla, Advances in Engineering Software 28 (1997) 145-149. (scipy has it, but scipy is
    an extra: the base install stays small.)
    """
    b, a = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    a, b, fa, fb = np.broadcast_arrays(a, b, function(a), function(b))
    low_side, high_side = fb >= 0.0, fa <= 0.0
    c, fc = a, fa
    best = np.where(low_side, b, np.where(high_side, a, np.nan))
    done = low_side | high_side
    t = np.full(np.shape(a), 0.5)
    for _ in range(_MAX_STEPS):
        if np.all(done):
            break
        x = a + t * (b - a)
        fx = function(x)
        same = np.sign(fx) == np.sign(fa)
        c, fc = np.where(same, a, b), np.where(same, fa, fb)
        b, fb = np.where(same, b, a), np.where(same, fb, fa)
        a, fa = x, fx
        smaller = np.abs(fa) < np.abs(fb)
        xm, fm = np.where(smaller, a, b), np.where(smaller, fa, fb)
        width = np.abs(b - a)
        limit = tolerance * np.maximum(np.abs(xm), 1.0) / np.maximum(width, np.finfo(np.float64).tiny)
        converged = (limit > 0.5) | (fm == 0.0)  # noqa: PLR2004 - half the bracket
        best = np.where(converged & ~done, xm, best)
        done = done | converged
        t = _next_fraction(a, b, c, fa, fb, fc, limit)
    return np.where(np.isnan(best), a, best)


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
