"""Kinds of files: each is told by a field of its own, and the command named for it is the one that answers it."""

from planner.catalog.catalog import shipped_root
from planner.catalog.kinds import KINDS, SCENARIO, kind_of, questions_of
from planner.cli.main import COMMANDS
from planner.documents.yaml_reader import parse_document, read_document


def test_every_kind_of_file_has_its_mark() -> None:
    """The mark is a required field of its spec; a kind that also knows it comes earlier in the table."""
    for position, kind in enumerate(KINDS):
        assert kind.spec.model_fields[kind.mark].is_required()
        assert not any(kind.mark in later.spec.model_fields for later in KINDS[position + 1 :])


def test_a_question_has_a_page_a_solver_and_a_command_that_exists() -> None:
    """What a refusal names is what answers."""
    for kind in questions_of():
        assert kind.page
        assert kind.folder
        assert kind.command in COMMANDS
        assert callable(kind.solve)


def test_every_shipped_file_is_told_by_its_fields() -> None:
    """Each file of a kind's folder is of that kind."""
    for kind in KINDS:
        for path in (shipped_root() / kind.folder).glob("*.yaml") if kind.folder else ():
            assert kind_of(read_document(path)) is kind, path


def test_a_scenario_is_no_other_kind() -> None:
    """A workload makes a scenario, whatever else is there by mistake."""
    assert kind_of(parse_document("workload: {}\nlimits: []\n", "s.yaml")) is SCENARIO
