"""Format the numbers of a finding."""

from planner import units


def gib(size_bytes: float) -> str:
    """Return a memory size as people write it."""
    return f"{size_bytes / units.BYTES_PER_GIB:.1f} GiB"


def gb_per_s(rate_bytes_per_s: float) -> str:
    """Return a bandwidth as data sheets write it."""
    return f"{rate_bytes_per_s / units.BYTES_PER_GB:,.0f} GB/s"


def change(factor: float) -> str:
    """Return a change in per cent.

    >>> change(0.763), change(1.0)
    ('-24 %', '0 %')
    """
    percent = round((factor - 1.0) * 100)
    return f"{percent:+d} %" if percent else "0 %"
