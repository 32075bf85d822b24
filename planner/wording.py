"""Numbers as people read them, for tables and Markdown; CSV and JSON keep them exact."""

import math

_THOUSAND = 1000.0


def money(value: float | None, missing: str = "–") -> str:
    """Return dollars with as many digits as matter.

    >>> money(80592.3), money(0.0026861), money(None), money(3.45)
    ('$80,592', '$0.00269', '–', '$3.45')
    """
    if value is None:
        return missing
    sign = "-" if value < 0 else ""
    size = abs(value)
    if size >= _THOUSAND:
        return f"{sign}${size:,.0f}"
    if size >= 1.0:
        return f"{sign}${size:.2f}"
    return f"{sign}${significant(size)}"


def significant(value: float | None, digits: int = 3) -> str:
    """Return a number with some significant digits and no exponent.

    >>> significant(0.0026861), significant(27.83), significant(1234.5), significant(None)
    ('0.00269', '27.8', '1,234', '–')
    """
    if value is None:
        return "–"
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{places}f}"


def seconds(value: float | None) -> str:
    """Return a duration in the unit people say it in.

    >>> seconds(0.0423), seconds(2.31), seconds(95.0), seconds(None)
    ('42 ms', '2.3 s', '95 s', '–')
    """
    if value is None:
        return "–"
    if value < 0.9995:  # noqa: PLR2004 - rounds to a second
        return f"{value * _THOUSAND:.0f} ms" if value >= 0.0095 else f"{value * _THOUSAND:.1f} ms"  # noqa: PLR2004
    return f"{value:.1f} s" if value < 20.0 else f"{value:,.0f} s"  # noqa: PLR2004 - a decimal stops mattering


def count(value: float | None) -> str:
    """Return a count with thousands marks."""
    return "–" if value is None else f"{value:,.0f}"


def about(value: float) -> str:
    """Return a count with three significant digits.

    >>> about(41234.5), about(7.25)
    ('41,200', '7.25')
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def plural(value: float | None, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "node"), plural(1200, "node")
    ('1 node', '1,200 nodes')
    """
    return f"{count(value)} {noun}" if value == 1 else f"{count(value)} {noun}s"


def share(value: float | None) -> str:
    """Return a share in per cent."""
    return "–" if value is None else f"{value:.0%}"


def percent(value: float | None) -> str:
    """Return a share with three significant digits: 0.02 % and 99.5 % are both worth telling.

    >>> percent(0.0002), percent(0.66), percent(0.9951), percent(None)
    ('0.02%', '66%', '99.5%', '–')
    """
    if value is None:
        return "–"
    return f"{value * 100:.3g}%" if abs(value) < _TEN else f"{value * 100:,.0f}%"


_TEN = 9.995


def times(value: float | None) -> str:
    """Return a multiplier.

    >>> times(27.63), times(1.0)
    ('27.6×', '1.0×')
    """
    return "–" if value is None else f"{value:,.1f}×"


def price_tier(tier: str) -> str:
    """Return a price tier as a sentence names it.

    >>> price_tier("committed_3y")
    'committed-3y'
    """
    return tier.replace("_", "-")


_LARGE = ((1e12, "T"), (1e9, "B"), (1e6, "M"))


def large_money(value: float) -> str:
    """Return dollars with three digits, millions and more by letter.

    >>> large_money(6e11), large_money(-1.25e6), large_money(42_000.0), large_money(1.583)
    ('$600B', '-$1.25M', '$42,000', '$1.58')
    """
    sign, size = "-" if value < 0 else "", abs(value)
    for step, letter in _LARGE:
        if size >= step:
            return f"{sign}${significant(size / step)}{letter}".replace(".00", "")
    return money(value)
