"""One example as the tokens that the model sees, each with its role."""

from dataclasses import dataclass
from typing import Literal

from palikit.processor import Processor, Query

Role = Literal["image", "bos", "prefix", "newline", "suffix", "eos"]


@dataclass(frozen=True)
class ExampleToken:
    """A token, or for `image` all those of the pictures.

    Attributes:
        role: what it stands for.
        text: what it writes, with "▁" for a space.
        count: how many tokens it is, 1 but for `image`.
        has_loss: whether the model is taught to write it.
    """

    role: Role
    text: str
    count: int = 1
    has_loss: bool = False


def example_tokens(
    query: Query, processor: Processor, num_image_tokens: int
) -> tuple[ExampleToken, ...]:
    """The tokens of an example in their order.

    Args:
        query: with its suffix.
        processor: for its tokenizer.
        num_image_tokens: of one picture.
    """
    prefix, suffix = processor.text_ids(query)
    tokens = [ExampleToken("image", "<image>", num_image_tokens * len(query.pictures))]
    tokens.append(ExampleToken("bos", "<bos>"))
    tokens += [ExampleToken("prefix", _piece(processor, token)) for token in prefix[1:-1]]
    tokens.append(ExampleToken("newline", "\\n"))
    tokens += [
        ExampleToken("suffix", _piece(processor, token), has_loss=True) for token in suffix[:-1]
    ]
    if suffix:
        tokens.append(ExampleToken("eos", "<eos>", has_loss=True))
    return tuple(tokens)


def _piece(processor: Processor, token: int) -> str:
    """What an id writes; a location or mask token by its name."""
    return processor.tokenizer.piece(token) or f"<{token}>"
