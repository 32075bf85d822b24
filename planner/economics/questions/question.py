"""What the files of all economic questions have in common."""

from typing import Any, Protocol, TypeVar

from pydantic import AfterValidator

from planner.documents.spec import FileSpec, repeated


class QuestionFile(FileSpec):
    """A question in a file of its own."""

    name: str
    title: str | None = None
    """One line for people."""

    @classmethod
    def for_another_scenario(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Return a question's data without what was chosen for the scenario it named; most kinds have nothing such."""
        return data


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Rows = TypeVar("Rows", bound=tuple[_Named, ...])


def named_apart(what: str, expected: str = "a name of its own") -> AfterValidator:
    """Return the rule that no two rows of a list have one name."""

    def check(rows: Rows) -> Rows:
        if twice := repeated([row.name for row in rows]):
            raise ValueError(f"two {what} are called {twice!r}; expected {expected} for each")
        return rows

    return AfterValidator(check)
