"""How a power cap slows a GPU: an estimate with the basis "assumed".

The power of a busy GPU above idle is switching power, ~ f V^2. In the upper range the voltage rises about in
proportion to the clock, so it is ~ f^3, and a cap L below the power P that the work would draw leaves the clock at

    f / f_max = r^(1/3),  r = (L - idle) / (P - idle)

Below about 60 % of the clock the voltage is at its minimum and power falls only with f: there the clock falls in
proportion to r (the two branches meet at r = 0.6^3). Prefill is compute-bound: it would draw `busy_power_top` of the
TDP and runs at the clock's pace. Decode is memory-bound: it would draw `busy_power_base` and, two thirds of
its time, `busy_power_memory` of the TDP, and the memory clock does not move with a cap, so it keeps its bandwidth until
L is below that; from there on the cap leaves too few watts for requests and memory together and decode falls by the
same law. A real step mixes both.
"""

from dataclasses import dataclass

LOWEST_VOLTAGE_CLOCK = 0.6
"""Share of the full clock below which the voltage no longer falls (assumed)."""
STREAMING_SHARE = 2.0 / 3.0
"""Share of a decode step in which the memory streams: 401 W of 700 W, the 10th percentile of ML.ENERGY's H100 runs."""


@dataclass(frozen=True)
class Speed:
    """Speed relative to the spec; 1 is full speed."""

    prefill: float = 1.0
    """Speed of compute-bound work: the SM clock."""
    decode: float = 1.0
    """Speed of memory-bound work: the bandwidth reached."""

    def slowed(self, *, prefill: float = 1.0, decode: float = 1.0) -> "Speed":
        """Return the slower of this and another limit, part by part."""
        return Speed(min(self.prefill, prefill), min(self.decode, decode))


def clock_share(limit_w: float, idle_w: float, wanted_w: float) -> float:
    """Return the clock under a power cap, relative to the clock at which the work would draw `wanted_w`.

    >>> clock_share(700.0, 70.0, 700.0)
    1.0
    >>> round(clock_share(350.0, 70.0, 700.0), 3)
    0.763
    """
    if limit_w >= wanted_w or wanted_w <= idle_w:
        return 1.0
    ratio = max(limit_w - idle_w, 0.0) / (wanted_w - idle_w)
    lowest = LOWEST_VOLTAGE_CLOCK**3
    share: float = ratio ** (1 / 3) if ratio >= lowest else LOWEST_VOLTAGE_CLOCK * ratio / lowest
    return share


def capped(limit_w: float, tdp_w: float, idle_w: float, *, floor: float, top: float) -> Speed:
    """Return the speed of prefill and decode under a cap; `floor` and `top` are shares of the TDP."""
    return Speed(clock_share(limit_w, idle_w, top * tdp_w), clock_share(limit_w, idle_w, floor * tdp_w))
