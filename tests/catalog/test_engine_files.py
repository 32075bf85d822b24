"""Engine files: those that ship, and what is refused in `fitted_on` and `errors`, each in one clear line."""

from pathlib import Path

import pytest

from planner.catalog.catalog import Catalog
from planner.catalog.hardware import EngineSpec, GpuSpec
from planner.catalog.model import ModelSpec
from planner.documents.spec import load
from planner.documents.yaml_reader import parse_document
from planner.errors import BadInputError

FOLDER = Path(__file__).resolve().parents[2] / "hardware" / "engines"
ENGINES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
TEXT = (FOLDER / "vllm.yaml").read_text(encoding="utf-8")
CATALOG = Catalog()


@pytest.mark.parametrize("name", ENGINES)
def test_what_an_engine_was_fitted_on_is_in_the_catalogue(name: str) -> None:
    """Ids are those of files, architectures those of the models: a misspelt one would count as unseen for ever."""
    seen = CATALOG.get(EngineSpec, name).spec.fitted_on
    assert seen is not None
    assert [CATALOG.get(GpuSpec, gpu).spec.id for gpu in seen.gpus] == list(seen.gpus)
    models = [CATALOG.get(ModelSpec, model).spec for model in seen.models]
    assert [model.id for model in models] == list(seen.models)
    assert sorted({model.architecture for model in models}) == sorted(seen.architectures)


@pytest.mark.parametrize("name", ENGINES)
def test_known_errors_lie_around_one(name: str) -> None:
    """A fit is not off to one side of its own runs: p10 is below 1, p90 above it."""
    errors = CATALOG.get(EngineSpec, name).spec.errors
    assert errors is not None
    for low, high in (errors.known.ttft, errors.known.tpot, errors.known.throughput):
        assert low < 1 < high


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("tpot: [0.893, 1.18]", "tpot: [1.18, 0.893]",
         "errors.known.tpot: [1.18, 0.893] is in descending order; expected the lower number first"),
        ("tpot: [0.893, 1.18]", "tpot: [-0.9, 1.18]",
         "errors.known.tpot[0]: -0.9 is negative; expected a number above 0"),
        ("tpot: [0.893, 1.18]", "tpot: [0, 1.18]", "errors.known.tpot[0]: 0 is zero; expected a number above 0"),
        ("tpot: [0.893, 1.18]", "tpot: [a, 1.18]", "errors.known.tpot[0]: 'a' is text; expected a number"),
        ("tpot: [0.893, 1.18]", "tpot: [0.9]",
         "errors.known.tpot: [0.9] is not a pair; expected two numbers, the lower one first"),
        ("tpot: [0.893, 1.18]", "tpot: [0.8, 1, 1.2]",
         "errors.known.tpot: [0.8, 1, 1.2] is not a pair; expected two numbers, the lower one first"),
        ("tpot: [0.893, 1.18]", "tpot: 1.1", "errors.known.tpot: 1.1 is not valid here; expected a list"),
        ("tpot: [0.893, 1.18]", "tpott: [0.893, 1.18]", "errors.known.tpott: unknown field. Did you mean tpot?"),
        ("  known:", "  knwon:", "errors.knwon: unknown field. Did you mean known?"),
        ("  lengths:\n", "  length:\n", "errors.length: unknown field. Did you mean lengths?"),
        ("  gpus: [b200", "  gpu: [b200", "fitted_on.gpu: unknown field. Did you mean gpus?"),
        ("input_tokens: [921.6, 8000.0]", "input_tokens: [8000, 128]",
         "fitted_on.input_tokens: [8000, 128] is in descending order; expected the lower number first"),
        ("input_tokens: [921.6, 8000.0]", "input_tokens: [-1, 128]",
         "fitted_on.input_tokens[0]: -1 is negative; expected a number above 0"),
        ("fitted_on:", "fited_on:", "fited_on: unknown field. Did you mean fitted_on?"),
        (TEXT[TEXT.index("fitted_on:"):TEXT.index("errors:\n")], "",
         "errors are given without fitted_on; expected fitted_on to say what the runs covered"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(old: str, new: str, line: str) -> None:
    """Reversed, negative, misspelt, not a pair: the place, what is wrong and what was expected."""
    assert TEXT.count(old) == 1
    with pytest.raises(BadInputError) as error:
        load(EngineSpec, parse_document(TEXT.replace(old, new), "mine.yaml"))
    lines = str(error.value).splitlines()
    assert [x.endswith(line) and x.startswith("mine.yaml:") for x in lines].count(True) == 1
    assert all(x.endswith((line, "is missing; expected a value")) for x in lines)


def test_equal_bounds_and_no_errors_are_fine() -> None:
    """A range may be a point; an engine file needs neither errors nor what it was fitted on."""
    point = TEXT.replace("tpot: [0.893, 1.18]", "tpot: [1.0, 1.0]")
    errors = load(EngineSpec, parse_document(point, "mine.yaml")).spec.errors
    assert errors is not None
    assert errors.known.tpot == (1.0, 1.0)
    bare = TEXT[: TEXT.index("fitted_on:")]
    assert load(EngineSpec, parse_document(bare, "mine.yaml")).spec.fitted_on is None


@pytest.mark.parametrize("name", ENGINES)
def test_every_error_names_its_source(name: str) -> None:
    """The runs of the fit, or what else was compared."""
    loaded = CATALOG.get(EngineSpec, name)
    assert all(loaded.source("errors", kind, "tpot") for kind in loaded.document.data["errors"])
