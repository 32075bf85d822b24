"""Characters per token of a kind of text, as the catalogue counts it."""

from typing import NamedTuple

from planner.catalog.catalog import Catalog, normal
from planner.catalog.text import ANY_TOKENIZER, TextFile
from planner.errors import BadInputError, DataMissingError, suggestion
from planner.options.provenance import Input


class PerToken(NamedTuple):
    """Characters per token, with the ends of what is plausible; both the mean where one text was counted exactly."""

    mean: float
    low: float
    high: float
    origin: Input


def characters_per_token(
    catalog: Catalog,
    text: str,
    tokenizer: str | None,
    *,
    where: str = "",
    tokenizer_where: str = "",
    name: str = "characters_per_token",
) -> PerToken:
    """Return the characters per token of a kind of text under a tokenizer.

    `where` and `tokenizer_where` are the places of the two names, for errors.

    A text whose vocabulary is not known (`any`) answers for every tokenizer. Raises DataMissingError for an
    unknown kind of text or tokenizer, BadInputError where several tokenizers were counted and none is named.
    """
    loaded = catalog.get(TextFile, text, where=where)
    ratios = loaded.spec.ratios
    known = [r.tokenizer for r in ratios]
    if tokenizer is None and len(ratios) > 1:
        raise BadInputError(f"text {text} needs a tokenizer; counted with: {', '.join(known)}", where=where)
    wanted = {normal(tokenizer or known[0]), ANY_TOKENIZER}
    index = next((i for i, r in enumerate(ratios) if normal(r.tokenizer) in wanted), None)
    if index is None:
        hint = suggestion(str(tokenizer), known)
        raise DataMissingError(f"no count of text {text} with tokenizer {tokenizer!r}.{hint}", where=tokenizer_where)
    ratio, key = ratios[index], ("ratios", index, "characters_per_token")
    origin = Input.of(name, ratio.characters_per_token, loaded.document.place(key), loaded.source(*key))
    mean = ratio.characters_per_token
    return PerToken(mean, ratio.low or mean, ratio.high or mean, origin)
