"""Errors: the exit code of each kind, where it stands, and how a message about an unknown name ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import (
    BadInputError,
    DataMissingError,
    NoPriceError,
    PlannerError,
    SystemFailureError,
    did_you_mean,
    nearest,
    suggestion,
    unknown,
)

MANY = [f"model-{i}" for i in range(21)]


@pytest.mark.parametrize(
    ("kind", "code"), [(BadInputError, 2), (DataMissingError, 3), (NoPriceError, 3), (SystemFailureError, 4)]
)
def test_each_kind_of_error_has_the_exit_code_of_the_contract(kind: type[PlannerError], code: int) -> None:
    """2 bad input, 3 missing data, 4 system error; the place stands before the message."""
    error = kind("is empty", where="s.yaml:3:4")
    assert (error.exit_code, str(error), str(kind("is empty"))) == (code, "s.yaml:3:4: is empty", "is empty")


def test_nearest_names_ignore_case_and_keep_the_known_spelling() -> None:
    """A match is shown as the catalogue spells it."""
    assert nearest("H100_SXN", ["h100_SXM", "l4"]) == ["h100_SXM"]
    assert did_you_mean("zzz", ["a"]) == ""


def test_longer_names_that_start_with_the_word_are_near_from_three_letters_on() -> None:
    """`azure` finds a curve; one or two letters would find half of a catalogue."""
    assert nearest("azure", ["azure-2024-conversation", "servegen-m-small"]) == ["azure-2024-conversation"]
    assert nearest("az", ["azure-2024-conversation"]) == []


def test_the_owner_of_a_checkpoint_does_not_hide_the_model() -> None:
    """Hugging Face names have an owner before a slash; catalogue ids have none."""
    assert nearest("a-very-long-organisation-name/lama-3.1-8b", ["llama-3.1-8b", "gpt-oss-20b"]) == ["llama-3.1-8b"]


def test_the_best_match_comes_first_and_there_are_three_at_most() -> None:
    """The most similar name is first; more than three would not help."""
    names = ["h100-sxm", "h100-pcie", "h100-nvl", "h200-sxm", "a100-sxm-80gb"]
    assert nearest("h100-sxn", names)[0] == "h100-sxm"
    assert len(nearest("h100", names)) == 3


@pytest.mark.parametrize(
    ("known", "listing", "ending"),
    [
        (["h100-sxm", "h200-sxm"], "", " Known: h100-sxm, h200-sxm."),
        (["b", "a", "b"], "", " Known: b, a."),
        ([], "", " Known: none."),
        (MANY[:20], "`planner list models` lists them", f" Known: {', '.join(MANY[:20])}."),
        (MANY, "`planner list models` lists them", " `planner list models` lists them."),
        (MANY, "", f" Known: {', '.join(MANY)}."),
    ],
)
def test_a_name_like_no_other_is_answered_with_all_or_with_where_to_see_them(
    known: list[str], listing: str, ending: str
) -> None:
    """Up to 20 names are listed in the message; more only where nothing else lists them."""
    assert suggestion("zzzz", known, listing=listing) == ending
    assert unknown("GPU", "zzzz", iter(known), listing=listing) == f"unknown GPU 'zzzz'.{ending}"


def test_a_near_name_is_all_that_is_shown() -> None:
    """Where a slip is likely, neither the list nor the command follows."""
    message = unknown("model", "modell-3", MANY, listing="`planner list models` lists them")
    assert message.startswith("unknown model 'modell-3'. Did you mean model-3, ")
    assert message.count(".") == 1
    assert message.endswith("?")


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=8), max_size=30))
def test_every_suggestion_is_one_sentence_that_names_only_known_names(name: str, known: list[str]) -> None:
    """For any name and any list: a sentence after a blank, and nothing invented."""
    ending = suggestion(name, known)
    assert ending.startswith((" Did you mean ", " Known: "))
    assert ending.endswith(("?", "."))
    assert set(nearest(name, known)) <= set(known)
