"""Formulas read from code: they say what the function computes, and call each quantity by one name."""

import re
from dataclasses import dataclass

import numpy as np
import pytest

from planner.explain.code_formulas import _INLINED, _NAMED
from planner.explain.code_reader import CodeReader
from planner.explain.formulas import completed
from planner.fleet import bill, sizing
from planner.serving import power, replica
from planner.serving.normal import Array

_SHARE = 0.25


@dataclass
class Parts:
    """A record."""

    fresh: Array
    squared: Array


def cached(tokens: Array) -> Array:
    """Return the cached tokens [tokens]."""
    return np.asarray(_SHARE * tokens)


def parts(tokens: Array, most: Array) -> Parts:
    """Return the parts of some tokens [tokens]."""
    # no more than the cap
    kept = np.minimum(tokens, most)
    stored = cached(kept)
    return Parts(
        # what is not stored
        fresh=np.asarray(kept - stored),
        squared=np.square(kept),
    )


def other(tokens: Array) -> Array:
    """Return twice the tokens [tokens]."""
    kept = 2.0 * tokens
    return np.asarray(kept)


def test_what_is_read_is_what_the_function_returns() -> None:
    """Local names and fields become formulas, a constant its number, a comment the reason; the values are the same."""
    reader = CodeReader((cached,), ())
    reader.record("parts.", parts, tokens="input", most="100")
    shown = {name: (formula.expression, formula.why) for name, formula in reader.found.items()}
    assert shown == {
        "kept": ("min(input; 100)", "no more than the cap"),
        "stored": ("0.25 * kept", ""),
        "parts.fresh": ("kept - stored", "what is not stored"),
        "parts.squared": ("square(kept)", ""),
    }
    for tokens in (40.0, 400.0):
        values, found = completed({"input": tokens}, reader.found), parts(np.array(tokens), np.array(100.0))
        assert values["parts.fresh"] == float(found.fresh)
        assert values["parts.squared"] == float(found.squared)


def test_a_second_reading_keeps_what_is_common() -> None:
    """With a prefix, what does not read as before has a name of its own; a call may stand by its function's name."""
    first = CodeReader((), (cached,))
    first.record("parts.", parts, tokens="input", most="100")
    second = CodeReader((), (cached,), "second.", common=first.found)
    second.record("parts.", parts, tokens="input", most="100")
    assert second.found == {}
    second.record("parts.", parts, tokens="output", most="100")
    assert {name: formula.expression for name, formula in second.found.items()} == {
        "second.kept": "min(output; 100)",
        "second.cached": "0.25 * second.kept",
        "second.parts.fresh": "second.kept - second.cached",
        "second.parts.squared": "square(second.kept)",
    }


def test_a_name_has_one_formula() -> None:
    """Two functions that call different quantities alike are refused: the chain could show only one of them."""
    reader = CodeReader((cached,), ())
    reader.record("parts.", parts, tokens="input", most="100")
    with pytest.raises(ValueError, match="two formulas of kept"):
        reader.locals(other)


HEADS = (
    replica.build_replica,
    replica.step_costs,
    bill.money,
    bill.token_money,
    sizing.energy_of,
    sizing.pool_fleet,
    power.busy_power_of,
    power.mean_power_w,
)


@pytest.mark.parametrize("function", [*_INLINED, *_NAMED, *HEADS], ids=lambda function: str(function.__name__))
def test_functions_behind_explanations_say_their_units(function: object) -> None:
    """Who follows a chain into the code finds the unit there: [s], [bytes], [1] ..."""
    assert re.search(r"\[(1|s|h|W|kW|bytes|tokens|USD|GPUs|\w+/\w+)[\],]", function.__doc__ or "")
