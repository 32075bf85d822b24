"""A field of several types: one line about the type the value has, or one line with all types where it has none."""

import pytest

from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.economics.questions.plan import PlanFile
from planner.errors import BadInputError

PLAN = """\
name: p
as_of: 2024-01-01
limits:
  - {model: a, messages: 1, window_hours: 24}
users: {groups: [{name: g, share: 1, use: USE}]}
"""


@pytest.mark.parametrize(
    ("use", "line"),
    [
        ("1.5", "p.yaml:5:43 users.groups[0].use: 1.5 is too large; expected a number of at most 1"),
        ("-1", "p.yaml:5:43 users.groups[0].use: -1 is negative; expected a number of at least 0"),
        ("{a: 1.5}", "p.yaml:5:47 users.groups[0].use.a: 1.5 is too large; expected a number of at most 1"),
        ("{a: much}", "p.yaml:5:47 users.groups[0].use.a: 'much' is text; expected a number"),
        ("much", "p.yaml:5:43 users.groups[0].use: 'much' is text; expected a number or a mapping"),
        ("true", "p.yaml:5:43 users.groups[0].use: true is not valid here; expected a number or a mapping"),
        ("[1]", "p.yaml:5:43 users.groups[0].use: [1] is not valid here; expected a number or a mapping"),
    ],
)
def test_a_value_is_judged_by_its_own_type(use: str, line: str) -> None:
    """`use` takes a share or a share by model."""
    with pytest.raises(BadInputError) as caught:
        load(PlanFile, parse_document(PLAN.replace("USE", use), "p.yaml"))
    assert str(caught.value) == line


def test_other_problems_of_the_file_are_told_beside() -> None:
    """Each wrong value still has its line, in the order of the fields."""
    text = PLAN.replace("USE", "1.5").replace("name: p", "name: 5").replace("messages: 1", "messages: x")
    with pytest.raises(BadInputError) as caught:
        load(PlanFile, parse_document(text, "p.yaml"))
    fields = [line.split(": ")[0].split(" ")[1] for line in str(caught.value).splitlines()]
    assert fields == ["name", "limits[0].messages", "users.groups[0].use"]
