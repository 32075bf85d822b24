"""Spec of a message to a model: how long, and what an API charges for it."""

from planner.documents.spec import NonNegative, Positive, Share, Spec


class Message(Spec):
    """One message and its answer, by what is known of them."""

    tokens: Positive | None = None
    """Generated tokens of the answer, thinking included."""
    characters: Positive | None = None
    """The same in characters; with a kind of text they give tokens."""
    text: str | None = None
    """Kind of text the characters are, a name in scenarios/texts."""
    tokenizer: str | None = None
    """Whose tokens; needed where the kind of text was counted with several vocabularies."""
    characters_per_token: Positive | None = None
    """Instead of a kind of text."""
    input_tokens: NonNegative | None = None
    """Tokens of the prompt, cached ones included."""
    cached_share: Share | None = None
    """Share of the input billed at the cached price; silence is 0."""
    price_model: str | None = None
    """Model of the API prices, at the file's date; instead of the two prices below."""
    usd_per_mtok_input: NonNegative | None = None
    """API price of input [USD per million tokens]."""
    usd_per_mtok_output: Positive | None = None
    """API price of output, thinking included [USD per million tokens]."""

    def check_pairs(self, role: str) -> None:
        """Raise ValueError where two fields say the same thing, or one of a pair is missing."""
        given = {n for n in type(self).model_fields if getattr(self, n) is not None}
        for pair in (
            ("tokens", "characters"),
            ("text", "characters_per_token"),
            ("price_model", "usd_per_mtok_output"),
        ):
            if given >= set(pair):
                raise ValueError(f"{role} gives both {pair[0]} and {pair[1]}; expected one of them")
        if (self.usd_per_mtok_input is None) != (self.usd_per_mtok_output is None):
            raise ValueError(f"{role} gives one price; expected usd_per_mtok_input and usd_per_mtok_output together")
        if self.cached_share and self.price_model is None:
            raise ValueError(f"{role}.cached_share needs price_model: the cached price is not given here")
        if given & {"price_model", "usd_per_mtok_output"} and self.input_tokens is None:
            raise ValueError(f"{role}.input_tokens is missing; an API bills the prompt as well (0 leaves it out)")
