"""A prompt that all requests start with: what of an input is found in the prefix cache."""

from collections.abc import Callable

from planner.errors import BadInputError


def found_share(
    stated: float | None, input_tokens: float, shared_tokens: float, where: Callable[[str], str], path: str = ""
) -> float:
    """Return the share of an input that is found in the prefix cache [1]: as stated, else what all requests share.

    Parameters
    ----------
    stated : share [1]; None where nothing is stated.
    input_tokens, shared_tokens : of a request [tokens].
    where, path : place of a field, and what stands before its name, for errors.

    Raises BadInputError where more is shared than an input has, or than is found.
    """
    place = where("shared_tokens")
    if shared_tokens > input_tokens:
        raise BadInputError(
            f"{_named(place, f'{path}shared_tokens')}{shared_tokens:,g} is more than an input of {input_tokens:,.0f} "
            "tokens; expected a part of every input",
            where=place,
        )
    least = shared_tokens / input_tokens
    place = where("cached_share")
    if stated is not None and stated < least * (1.0 - _ROUNDING):
        raise BadInputError(
            f"{_named(place, f'{path}cached_share')}{stated:g} of {input_tokens:,.0f} input tokens is less than the "
            f"{shared_tokens:,g} shared_tokens; expected at least {least:.4g}, or none",
            where=place,
        )
    return least if stated is None else stated


def _named(place: str, field: str) -> str:
    """Return what a message starts with: the field, where its place does not name it."""
    return "" if place.endswith(field) else f"{field}: "


_ROUNDING = 0.01
"""A share written with two digits may be this much below."""
