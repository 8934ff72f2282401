"""`POST /v1/chat/completions` and `GET /v1/models`, as OpenAI's clients know them.

Beside OpenAI's fields a choice's message has `palikit`: the typed record of the answer, as the
typed routes give it, for boxes and masks.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from palikit.options import GenerationOptions
from palikit.results import TokenScore
from palikit.serving.chat_schemas import ChatAsked, check_parameters, prompt_of
from palikit.serving.chat_told import ChatTold, Models
from palikit.serving.exchange import Exchange, exchange_of
from palikit.serving.problems import Problem, as_json, problem_of
from palikit.serving.schemas import EXAMPLE_PNG
from palikit.serving.service import Question, Service
from palikit.serving.typed import record_of
from palikit.serving.writing import Writing
from palikit.tasks import task_from_prompt

EXAMPLE: dict[str, Any] = {
    "model": "nano",
    "messages": [
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{EXAMPLE_PNG}"},
                },
                {"type": "text", "text": "detect circle ; star"},
            ],
        }
    ],
    "max_tokens": 64,
}
"""A request, for the OpenAPI document."""

_LOWEST = -9999.0
"""What OpenAI writes for a probability of zero."""


def chat_routes(service: Service) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"])

    @router.get("/models", summary="The model", response_model=Models)
    async def models() -> Response:
        return _json({"object": "list", "data": [_model_record(service)]})

    @router.get("/models/{name:path}", summary="The model by its name", response_model=None)
    async def model(name: str) -> Response:
        if name != service.name:
            raise Problem(404, "model_not_found", f"the model served here is {service.name}")
        return _json(_model_record(service))

    @router.post(
        "/chat/completions",
        summary="A prompt of any kind",
        operation_id="chat",
        response_model=None,
        responses={200: {"model": ChatTold, "content": {"text/event-stream": {}}}},
        openapi_extra={"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}},
    )
    async def chat(request: Request, asked: ChatAsked) -> Response:
        exchange = exchange_of(request)
        question, writings = await _begin(service, exchange, asked)
        answer = _Answer(service, exchange, asked, question, writings)
        if not asked.stream:
            return _json(await answer.whole())
        events = answer.events()
        first = await anext(events)  # so that what goes wrong before it still has a status
        return StreamingResponse(_after(first, events), media_type="text/event-stream")

    return router


async def _begin(
    service: Service, exchange: Exchange, asked: ChatAsked
) -> tuple[Question, list[Writing]]:
    """Checks everything and hands in a job for each choice."""
    options = service.options
    check_parameters(
        asked,
        service.name,
        max_choices=options.max_choices,
        max_tokens=options.max_output_tokens,
    )
    prompted = prompt_of(asked.messages)
    seed = secrets.randbits(62) if asked.seed is None else asked.seed
    task = task_from_prompt(prompted.prompt)
    try:
        question = await service.prepare(exchange, prompted.images, task, _options(asked, seed))
    except Problem as problem:
        # Prompts and pictures are part of the messages here.
        if problem.param == "image" or (problem.status == 400 and problem.param is None):
            problem.param = "messages"
        raise
    writings = []
    for index in range(asked.n or 1):
        own = Question(question.request, _options(asked, seed + index), question.prompt_tokens)
        ticket = service.submit(exchange, own)
        count = service.ready.text_tokens
        writings.append(Writing(ticket, asked.stops, count, wants_scores=bool(asked.logprobs)))
    return question, writings


def _options(asked: ChatAsked, seed: int) -> GenerationOptions:
    default = GenerationOptions()
    limit = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    return GenerationOptions(
        max_new_tokens=default.max_new_tokens if limit is None else limit,
        temperature=asked.temperature or 0.0,
        top_p=default.top_p if asked.top_p is None else asked.top_p,
        top_k=asked.top_k,
        seed=seed % 2**63,
        grammar=asked.grammar,
    )


class _Answer:
    """The choices of one answer on their way out."""

    def __init__(
        self,
        service: Service,
        exchange: Exchange,
        asked: ChatAsked,
        question: Question,
        writings: Sequence[Writing],
    ) -> None:
        self._service = service
        self._exchange = exchange
        self._asked = asked
        self._question = question
        self._writings = writings
        self._head = {
            "id": f"chatcmpl-{exchange.id}",
            "created": int(time.time()),
            "model": service.name,
            "system_fingerprint": None,
        }

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece."""
        async with self._service.in_time(self._exchange):
            await asyncio.gather(*(each.whole() for each in self._writings))
        choices = []
        for index, writing in enumerate(self._writings):
            message = {"role": "assistant", "content": writing.text, "refusal": None}
            choices.append(self._choice(index, writing, "message", message))
        self._count()
        return {
            **self._head,
            "object": "chat.completion",
            "choices": choices,
            "usage": self._usage(),
        }

    async def events(self) -> AsyncIterator[bytes]:
        """The answer as server-sent events."""
        usage = self._asked.stream_options is not None and self._asked.stream_options.include_usage
        try:
            async for index, piece in self._pieces():
                if piece is None:
                    yield self._event(
                        [self._choice(index, self._writings[index], "delta", {})], usage=usage
                    )
                else:
                    choice = {"index": index, "delta": piece, "finish_reason": None}
                    yield self._event([{**choice, "logprobs": None}], usage=usage)
            self._count()
            if usage:
                yield _data({**self._chunk([]), "usage": self._usage()})
            yield b"data: [DONE]\n\n"
        except Exception as error:
            if not self._has_begun:
                raise
            problem = problem_of(error)
            self._exchange.line.kind = problem.kind
            yield _data(problem.to_dict())

    _has_begun = False

    async def _pieces(self) -> AsyncIterator[tuple[int, dict[str, str] | None]]:
        """Deltas of all choices as they come; None where a choice has ended."""
        queue: asyncio.Queue[tuple[int, str | Exception | None]] = asyncio.Queue()
        for index, writing in enumerate(self._writings):
            task = asyncio.ensure_future(_pump(index, writing, queue))
            self._exchange.works.append(task)
        begun: set[int] = set()
        ended = 0
        while ended < len(self._writings):
            async with self._service.in_time(self._exchange):
                index, piece = await queue.get()
            if isinstance(piece, Exception):
                raise piece
            if not self._has_begun:
                self._has_begun = True
                seconds = time.monotonic() - self._exchange.received
                self._service.metrics.first_token_seconds.observe(seconds)
            if index not in begun:
                begun.add(index)
                yield index, {"role": "assistant", "content": ""}
            if piece is None:
                ended += 1
            yield index, None if piece is None else {"content": piece}

    def _choice(self, index: int, writing: Writing, key: str, message: dict[str, Any]) -> Any:
        """A choice that has ended, with all that is known of it."""
        if writing.is_whole and writing.prediction is not None:
            message = {**message, "palikit": self._record(writing)}
        return {
            "index": index,
            key: message,
            "finish_reason": writing.finish_reason,
            "logprobs": self._logprobs(writing),
        }

    def _record(self, writing: Writing) -> dict[str, Any]:
        if writing.prediction is None:
            raise AssertionError("a writing without its prediction")
        return {**record_of(writing.prediction), "model": self._service.name}

    def _logprobs(self, writing: Writing) -> dict[str, Any] | None:
        if not self._asked.logprobs or writing.prediction is None:
            return None
        text, scores = writing.prediction.text, writing.scores
        if writing.is_whole and writing.prediction.finish_reason == "stop":
            scores = scores[:-1]  # the end token, which OpenAI does not show
        with_top = bool(self._asked.top_logprobs)
        tokens = [_token(score, text, with_top=with_top) for score in scores]
        return {"content": tokens, "refusal": None}

    def _count(self) -> None:
        for writing in self._writings:
            self._service.count(self._exchange, writing.text, writing.tokens)
        self._exchange.line.finish_reason = self._writings[0].finish_reason

    def _usage(self) -> dict[str, Any]:
        prompt, written = self._question.prompt_tokens, sum(each.tokens for each in self._writings)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }

    def _chunk(self, choices: list[Any]) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}

    def _event(self, choices: list[Any], *, usage: bool) -> bytes:
        chunk = self._chunk(choices)
        return _data({**chunk, "usage": None} if usage else chunk)


async def _pump(
    index: int, writing: Writing, queue: "asyncio.Queue[tuple[int, str | Exception | None]]"
) -> None:
    """A choice's pieces into the queue of all, with its end or its error."""
    try:
        async for piece in writing.pieces():
            queue.put_nowait((index, piece))
        queue.put_nowait((index, None))
    except Exception as error:
        queue.put_nowait((index, error))


async def _after(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for each in rest:
        yield each


def _token(score: TokenScore, text: str, *, with_top: bool) -> dict[str, Any]:
    token = text[score.start : score.end]
    found: dict[str, Any] = {
        "token": token,
        "logprob": max(score.log_prob, _LOWEST),
        "bytes": list(token.encode("utf-8", "surrogatepass")),
    }
    return {**found, "top_logprobs": [dict(found)] if with_top else []}


def _model_record(service: Service) -> dict[str, Any]:
    scheduler = service.ready.scheduler
    return {
        "id": scheduler.model,
        "object": "model",
        "created": service.began,
        "owned_by": "palikit",
        "image_size": scheduler.image_size,
        "has_masks": scheduler.has_masks,
    }


def _data(value: Any) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"


def _json(value: Any) -> Response:
    return Response(as_json(value), media_type="application/json")
