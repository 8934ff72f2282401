"""A model that can be asked: its scheduler, and what its texts and pictures cost in tokens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palikit.options import GenerationOptions
from palikit.request import Request
from palikit.serving.jobs import SchedulerLike
from palikit.serving.problems import refused

if TYPE_CHECKING:
    from palikit.predictor import Predictor

MAX_PROMPT_CHARACTERS = 32_768
"""Of a prompt that is tokenised at all: 64 for each token of the longest default."""


@dataclass(frozen=True)
class Backend:
    """What answers requests.

    Attributes:
        scheduler: owner of the model.
        tokens_per_picture: image tokens.
        max_positions: tokens the model knows positions for.
        prompt_tokens: ids of a prompt, <bos> and newline included; the flag is
            `Task.allow_special`.
        text_tokens: ids of a text that the model wrote.
    """

    scheduler: SchedulerLike
    tokens_per_picture: int
    max_positions: int
    prompt_tokens: Callable[[str, bool], int]
    text_tokens: Callable[[str], int]

    def count_prompt(self, request: Request, options: GenerationOptions, limit: int) -> int:
        """Tokens the model will be fed, those of pictures included.

        Raises:
            Problem: a prompt of more than `limit` tokens, or more in all than the model knows.
        """
        task = request.task
        if len(task.prompt) > MAX_PROMPT_CHARACTERS:
            raise refused(f"the prompt has more than {MAX_PROMPT_CHARACTERS:,} characters")
        count = self.prompt_tokens(task.prompt, task.allow_special)
        if count > limit:
            raise refused(f"the prompt has {count} tokens, at most {limit} are taken: shorten it")
        total = count + len(request.pictures) * self.tokens_per_picture
        if total + options.max_new_tokens > self.max_positions:
            raise refused(
                f"{total} tokens of pictures and prompt and {options.max_new_tokens} of an answer "
                f"are more than the {self.max_positions} that the model knows: send fewer pictures"
            )
        return total


def backend_of(predictor: "Predictor", scheduler: SchedulerLike) -> Backend:
    """The backend of a loaded model."""
    from palikit.processor import Query

    processor, config = predictor.processor, predictor.model.config

    def prompt_tokens(prompt: str, allow_special: bool) -> int:  # noqa: FBT001 (as Backend has it)
        prefix, _ = processor.text_ids(Query((), prompt, allow_special=allow_special))
        return len(prefix)

    def text_tokens(text: str) -> int:
        return len(processor.tokenizer.encode(text, allow_special=True))

    return Backend(
        scheduler,
        config.vision_config.num_image_tokens,
        config.text_config.max_position_embeddings,
        prompt_tokens,
        text_tokens,
    )
