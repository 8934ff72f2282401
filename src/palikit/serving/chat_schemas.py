"""OpenAI's chat completions as far as PaliGemma goes: what is asked, checked field by field.

What PaliGemma cannot do is refused with a sentence; nothing that is asked for is passed over.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from palikit.serving.problems import Problem, refused
from palikit.serving.schemas import generation_field

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_IDLE = "Has no effect; taken where it asks for nothing."
MAX_STOPS = 4


def _one_size(detail: Any) -> Any:
    if detail not in ("auto", None):
        raise ValueError("pictures are taken in one size; leave it out, or give auto")
    return detail


class TextPart(BaseModel):
    """Text of a message."""

    model_config = _STRICT
    type: Literal["text"]
    text: str


class ImageUrl(BaseModel):
    """Where a picture is."""

    model_config = _STRICT
    url: str = Field(description="A data: URI; an address only where the server allows it.")
    detail: Annotated[Literal["auto"] | None, BeforeValidator(_one_size)] = Field(
        None, description="auto: the model takes every picture at its one size."
    )


class ImagePart(BaseModel):
    """A picture of a message."""

    model_config = _STRICT
    type: Literal["image_url"]
    image_url: ImageUrl | str


Part = Annotated[TextPart | ImagePart, Field(discriminator="type")]


class Message(BaseModel):
    """What somebody says."""

    model_config = _STRICT
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None
    name: str | None = Field(None, description=_IDLE)


class StreamOptions(BaseModel):
    """Of a stream."""

    model_config = _STRICT
    include_usage: bool = Field(
        default=False, description="Whether the stream ends with its usage."
    )


class ChatAsked(BaseModel):
    """A prompt and its pictures, in the shape of OpenAI's chat completions."""

    model_config = _STRICT

    model: str = Field(description="As GET /v1/models names it.")
    messages: list[Message] = Field(
        min_length=1,
        description="One user message with pictures and text; the text is PaliGemma's prompt, word "
        'for word: "caption en", "detect cat ; dog", "answer en what is this?". The text of a '
        "system message is put before it.",
    )
    max_tokens: int | None = Field(None, description="As max_completion_tokens.")
    max_completion_tokens: int | None = Field(
        None, description="Largest number of tokens to write; 256 if not given."
    )
    temperature: float | None = generation_field("temperature")
    top_p: float | None = generation_field("top_p")
    top_k: int = generation_field("top_k")
    grammar: bool = generation_field("grammar")
    seed: int | None = Field(
        None, description="Seed of the sampling; drawn if not given. Choice i takes seed + i."
    )
    n: int | None = Field(1, description="Answers to write; without a temperature all are equal.")
    stop: str | list[str] | None = Field(
        None, description="Up to 4 texts before which the answer ends."
    )
    stream: bool | None = Field(default=False, description="Send the answer in pieces.")
    stream_options: StreamOptions | None = None
    logprobs: bool | None = Field(
        default=False,
        description="Send the log-probability of each token; of a stream, with its end.",
    )
    top_logprobs: int | None = Field(
        None, description="0; or, without a temperature, 1: the token itself is the likeliest."
    )

    user: str | None = Field(None, description="Has no effect.")
    metadata: dict[str, str] | None = Field(None, description="Has no effect.")
    safety_identifier: str | None = Field(None, description="Has no effect.")
    prompt_cache_key: str | None = Field(None, description="Has no effect.")
    parallel_tool_calls: bool | None = Field(None, description="Has no effect: there are no tools.")
    audio: Any = Field(None, description=_IDLE)
    frequency_penalty: Any = Field(None, description=_IDLE)
    function_call: Any = Field(None, description=_IDLE)
    functions: Any = Field(None, description=_IDLE)
    logit_bias: Any = Field(None, description=_IDLE)
    modalities: Any = Field(None, description=_IDLE)
    prediction: Any = Field(None, description=_IDLE)
    presence_penalty: Any = Field(None, description=_IDLE)
    reasoning_effort: Any = Field(None, description=_IDLE)
    response_format: Any = Field(None, description=_IDLE)
    service_tier: Any = Field(None, description=_IDLE)
    store: Any = Field(None, description=_IDLE)
    tool_choice: Any = Field(None, description=_IDLE)
    tools: Any = Field(None, description=_IDLE)
    verbosity: Any = Field(None, description=_IDLE)
    web_search_options: Any = Field(None, description=_IDLE)

    @property
    def stops(self) -> list[str]:
        """The stop texts."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


_CANNOT: dict[str, tuple[tuple[Any, ...], str]] = {
    "audio": ((), "PaliGemma writes text, no sound"),
    "frequency_penalty": ((0,), "there are no penalties; answers to detect never repeat an object"),
    "function_call": (("none", "auto"), "PaliGemma calls no functions"),
    "functions": (([],), "PaliGemma calls no functions"),
    "logit_bias": (({},), "single tokens cannot be favoured"),
    "modalities": ((["text"],), "PaliGemma writes text only"),
    "prediction": ((), "a predicted output is of no use here"),
    "presence_penalty": ((0,), "there are no penalties; answers to detect never repeat an object"),
    "reasoning_effort": (("none",), "PaliGemma does not reason before it answers"),
    "response_format": (
        ({"type": "text"},),
        "PaliGemma writes plain text, no JSON: POST /v1/detect and its like answer in typed JSON",
    ),
    "service_tier": (("auto", "default"), "there is one tier"),
    "store": ((False,), "nothing is stored"),
    "tool_choice": (("none", "auto"), "PaliGemma calls no tools"),
    "tools": (([],), "PaliGemma calls no tools"),
    "verbosity": ((), "PaliGemma does not know how long its answers are to be"),
    "web_search_options": ((), "PaliGemma looks nothing up"),
}
"""Parameters of OpenAI's that mean nothing here: the values that ask for nothing, and why not."""


@dataclass(frozen=True)
class Prompted:
    """Messages as PaliGemma takes them.

    Attributes:
        prompt: the text, word for word.
        images: addresses of pictures, in their order.
    """

    prompt: str
    images: tuple[str, ...]


def check_parameters(asked: ChatAsked, model: str, *, max_choices: int, max_tokens: int) -> None:
    """Raises Problem for what cannot be done."""
    if asked.model != model:
        raise Problem(404, "model_not_found", f"the model served here is {model}", param="model")
    for name, (neutral, why) in _CANNOT.items():
        value = getattr(asked, name)
        if value is not None and value not in neutral:
            raise Problem(400, "unsupported_parameter", f"{name}: {why}", param=name)
    limits = {each for each in (asked.max_tokens, asked.max_completion_tokens) if each is not None}
    if len(limits) > 1:
        raise refused("max_tokens and max_completion_tokens differ: give one", "max_tokens")
    if limits and not 1 <= max(limits) <= max_tokens:
        raise refused(f"max_tokens is {max(limits)}: it must be 1 to {max_tokens}", "max_tokens")
    if not 1 <= (1 if asked.n is None else asked.n) <= max_choices:
        raise refused(f"n is {asked.n}: it must be 1 to {max_choices}", "n")
    if len(asked.stops) > MAX_STOPS or not all(0 < len(each) <= 256 for each in asked.stops):
        raise refused(f"stop takes up to {MAX_STOPS} texts of 1 to 256 characters", "stop")
    if asked.stream_options is not None and not asked.stream:
        raise refused("stream_options are for streams: set stream", "stream_options")
    _check_logprobs(asked)


def _check_logprobs(asked: ChatAsked) -> None:
    if asked.top_logprobs is None:
        return
    if not asked.logprobs:
        raise refused("top_logprobs is for logprobs: set it to true", "top_logprobs")
    if asked.top_logprobs != 0 and (asked.top_logprobs != 1 or asked.temperature):
        raise refused(
            "of other tokens than the chosen one no probabilities are kept: top_logprobs can be "
            "0, or 1 without a temperature",
            "top_logprobs",
        )


def prompt_of(messages: list[Message]) -> Prompted:
    """One prompt out of messages; raises Problem where they are a conversation.

    Texts are joined by a blank, those of a system message first.
    """
    if any(each.role not in ("system", "developer", "user") for each in messages):
        raise refused(
            "PaliGemma answers one prompt and has no conversation: send one user message, and no "
            "assistant or tool messages",
            "messages",
        )
    users = [each for each in messages if each.role == "user"]
    systems = [each for each in messages if each.role != "user"]
    if len(users) != 1 or len(systems) > 1:
        raise refused(
            f"{len(users)} user and {len(systems)} system messages: PaliGemma answers one prompt, "
            "so send one user message and at most one system message",
            "messages",
        )
    texts: list[str] = []
    images: list[str] = []
    for message in (*systems, *users):
        _take(message, texts, images)
    return Prompted(" ".join(filter(None, texts)), tuple(images))


def _take(message: Message, texts: list[str], images: list[str]) -> None:
    if message.content is None:
        raise refused(f"the {message.role} message has no content", "messages")
    if isinstance(message.content, str):
        texts.append(message.content)
        return
    for part in message.content:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif message.role != "user":
            raise refused("pictures belong into the user message", "messages")
        else:
            images.append(part.image_url if isinstance(part.image_url, str) else part.image_url.url)
