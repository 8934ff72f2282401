"""What chat completions answer, for the OpenAPI document."""

from typing import Any, Literal

from pydantic import BaseModel, Field


class MessageTold(BaseModel):
    """The answer of a choice."""

    role: Literal["assistant"]
    content: str
    refusal: None
    palikit: dict[str, Any] | None = Field(
        None, description="The typed record, as POST /v1/detect and its like answer."
    )


class LogProb(BaseModel):
    """A token and how sure the model was of it."""

    token: str
    logprob: float
    bytes: list[int]


class TokenLogProb(LogProb):
    """A token of the answer."""

    top_logprobs: list[LogProb]


class LogProbs(BaseModel):
    """Tokens of the answer, without the one that ends it."""

    content: list[TokenLogProb]
    refusal: None


class ChoiceTold(BaseModel):
    """One of n answers."""

    index: int
    message: MessageTold
    finish_reason: Literal["stop", "length"]
    logprobs: LogProbs | None


class Usage(BaseModel):
    """Tokens; those of pictures count to the prompt."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatTold(BaseModel):
    """An answer; a stream sends it as chat.completion.chunk objects."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChoiceTold]
    usage: Usage
    system_fingerprint: None


class Model(BaseModel):
    """The model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    image_size: int = Field(description="Side of its pictures in pixels.")
    has_masks: bool = Field(description="Whether segments come with outlines.")


class Models(BaseModel):
    """The list of the one model."""

    object: Literal["list"]
    data: list[Model]
