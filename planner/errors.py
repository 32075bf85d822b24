"""Errors that a user can act on: place, fault, what was expected, the nearest name; each with its exit code."""

import difflib
from collections.abc import Iterable

EXIT_OK = 0
EXIT_GATE_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_DATA_MISSING = 3
EXIT_SYSTEM = 4
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
    """Bad usage or a bad file (exit 2). Several problems of a file are joined by line breaks."""


class DataMissingError(PlannerError):
    """An unknown model, GPU, price or driver (exit 3)."""

    exit_code = EXIT_DATA_MISSING


class NoPriceError(DataMissingError):
    """No option of a search has a price (exit 3)."""


class SystemFailureError(PlannerError):
    """The disk, the file system or the network failed (exit 4)."""

    exit_code = EXIT_SYSTEM


class Alarm(str):
    """A warning that changes whether an answer holds: printed even where notes are folded into their number."""

    __slots__ = ()


def nearest(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names most similar to `name`, best first; longer names that start with it count as similar.

    An owner before a slash (`meta-llama/...`) is left out where nothing resembles the whole name.

    >>> nearest("h100-sxn", ["h100-sxm", "a100-sxm-80gb", "l4"], count=1)
    ['h100-sxm']
    >>> nearest("azure", ["azure-2024-conversation", "servegen-m-small"])
    ['azure-2024-conversation']
    """
    by_lower = {k.lower(): k for k in known}
    for text in dict.fromkeys((name.lower(), name.lower().rpartition("/")[2])):
        similar = difflib.get_close_matches(text, by_lower, n=count, cutoff=0.5)
        longer = [k for k in by_lower if len(text) >= _SHORTEST_PREFIX and k.startswith(text)]
        if similar or longer:
            return [by_lower[k] for k in dict.fromkeys((*similar, *longer))][:count]
    return []


_SHORTEST_PREFIX = 3
_MOST_LISTED = 20
"""More names than these are not listed in a message where another place lists them."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ' Did you mean a, b?' for the nearest names, or an empty text.

    >>> did_you_mean("answer_token", ["answer_tokens", "name"])
    ' Did you mean answer_tokens?'
    """
    names = nearest(name, known)
    return f" Did you mean {', '.join(names)}?" if names else ""


def suggestion(name: str, known: Iterable[str], *, listing: str = "") -> str:
    """Return how to end a message about a name that is not among the known ones: a sentence after a space.

    The nearest names; where nothing is near, all known ones, or `listing` (where to see them) if there are many.

    >>> suggestion("a10", ["a100", "l4"]), suggestion("x", ["a100", "h100"]), suggestion("x", [])
    (' Did you mean a100?', ' Known: a100, h100.', ' Known: none.')
    >>> suggestion("x", map(str, range(100)), listing="`planner list gpus` lists them")
    ' `planner list gpus` lists them.'
    """
    names = list(dict.fromkeys(known))
    listed = listing if listing and len(names) > _MOST_LISTED else f"Known: {', '.join(names) or 'none'}"
    return did_you_mean(name, names) or f" {listed}."


def unknown(kind: str, name: str, known: Iterable[str], *, listing: str = "") -> str:
    """Return the message for an unknown name of a kind of thing, with what `suggestion` says.

    >>> unknown("engine", "vlm", ["sglang", "vllm"])
    "unknown engine 'vlm'. Did you mean vllm?"
    """
    return f"unknown {kind} {name!r}.{suggestion(name, known, listing=listing)}"
