"""Kinds of files: each is told by a field of its own, and the command named for it is the one that answers it."""

from planner.economics.registry import QUESTIONS
from planner.specs.catalog import shipped_root
from planner.specs.json_schema import SCHEMAS, spec_of
from planner.specs.kinds import KINDS, kind_of
from planner.specs.reader import parse_document, read_document


def test_every_kind_of_file_but_a_scenario_has_its_mark() -> None:
    """The mark is a required field of its spec; a kind that also knows it is told by its own mark before."""
    assert {kind.word for kind in KINDS} == SCHEMAS.keys() - {"scenario"}
    for position, kind in enumerate(KINDS):
        assert SCHEMAS[kind.word].model_fields[kind.mark].is_required()
        assert not any(kind.mark in SCHEMAS[later.word].model_fields for later in KINDS[position + 1 :])


def test_commands_and_folders_are_those_of_the_economic_questions() -> None:
    """What a refusal names is what answers."""
    answered = {(SCHEMAS[kind.word], kind.folder, kind.command) for kind in KINDS if kind.command}
    assert answered == {(question.spec, question.folder, question.command) for question in QUESTIONS.values()}


def test_every_shipped_file_is_told_by_its_fields() -> None:
    """Each file of a kind's folder is of that kind."""
    for kind in KINDS:
        for path in (shipped_root() / kind.folder).glob("*.yaml") if kind.folder else ():
            assert kind_of(read_document(path)) is kind, path


def test_a_scenario_is_no_other_kind() -> None:
    """A workload makes a scenario, whatever else is there by mistake."""
    assert spec_of(parse_document("workload: {}\nlimits: []\n", "s.yaml")) is None
