"""Errors a user can act on: where, what, what was expected, the nearest name; each with its exit code."""

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_GATE_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_DATA_MISSING = 3
EXIT_SURROUNDINGS = 4
EXIT_INTERRUPTED = 130


class PlannerError(Exception):
    """An error with one clear line and an exit code.

    Parameters
    ----------
    message : what is wrong, what was expected, the nearest name.
    where : file:line:column, a flag, or a sheet's cell; empty when there is no place.
    """

    exit_code = EXIT_BAD_INPUT

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class BadInputError(PlannerError):
    """Bad usage or a bad file (exit 2). Several problems of one file are joined by line breaks."""


class DataMissingError(PlannerError):
    """An unknown model, GPU, price or driver (exit 3)."""

    exit_code = EXIT_DATA_MISSING


class NoPriceError(DataMissingError):
    """None of the options of a search has a price (exit 3)."""


class SurroundingsError(PlannerError):
    """The disk, the place to write or the network failed (exit 4)."""

    exit_code = EXIT_SURROUNDINGS


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names that look most like `name`, best first: alike, or beginning with it.

    >>> nearest("h100-sxn", ["h100-sxm", "a100-sxm-80gb", "l4"], count=1)
    ['h100-sxm']
    >>> nearest("azure", ["azure-2024-conversation", "servegen-m-small"])
    ['azure-2024-conversation']
    """
    by_lower = {k.lower(): k for k in known}
    alike = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)
    begins = [k for k in by_lower if len(name) >= _SHORTEST_PREFIX and k.startswith(name.lower())]
    return [by_lower[k] for k in dict.fromkeys((*alike, *begins))][:count]


_SHORTEST_PREFIX = 3


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean a, b?' for the nearest names, or an empty text.

    >>> did_you_mean("answer_token", ["answer_tokens", "name"])
    ' Did you mean answer_tokens?'
    """
    names = nearest(name, known)
    return f" Did you mean {', '.join(names)}?" if names else ""
