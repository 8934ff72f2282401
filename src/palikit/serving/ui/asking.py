"""A question from the page on its way: through the same bounds and scheduler as all others."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.serving.exchange import Exchange
from palikit.serving.logs import Line, log_fault, log_request
from palikit.serving.problems import problem_of, refused
from palikit.serving.service import Service
from palikit.serving.uploads import Upload, open_sources
from palikit.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

ROUTE = "/ui"
"""Where the page lies, and what log and metrics call its questions."""


@dataclass(frozen=True)
class Progress:
    """An answer so far.

    Attributes:
        text: what has been written.
        prediction: the whole, without its picture, once it is there.
        seconds: since the question came.
    """

    text: str
    prediction: Prediction[Any] | None
    seconds: float


async def ask(service: Service, picture: Path, task: Task) -> AsyncIterator[Progress]:
    """Puts a question and tells how the answer grows.

    Args:
        service: the server's.
        picture: an upload.
        task: what is asked.

    Raises:
        Problem: whatever goes wrong.
    """
    with _told(service) as exchange:
        limit = min(GenerationOptions().max_new_tokens, service.options.max_output_tokens)
        upload = await _read(service, picture)
        options = GenerationOptions(max_new_tokens=limit)
        question = await service.prepare(exchange, [upload], task, options)
        ticket = service.submit(exchange, question)
        text = ""
        async for piece in ticket.pieces():
            text += piece
            yield Progress(text, None, time.monotonic() - exchange.began)
        prediction = replace(await ticket.result(), model=service.name, input="picture", image=None)
        exchange.line.finish_reason = prediction.finish_reason
        service.count(exchange, prediction.text, len(prediction.token_scores))
        yield Progress(prediction.text, prediction, time.monotonic() - exchange.began)


async def open_upload(service: Service, picture: Path) -> "Image":
    """The decoded picture, upright; raises Problem."""
    exchange = _begin(service)
    try:
        upload = await _read(service, picture)
        limits = service.limits
        (opened,) = await service.in_thread(lambda: open_sources([upload], limits, exchange.hold))
    except Exception as error:
        raise problem_of(error) from None
    finally:
        exchange.let_go()
    return opened


async def _read(service: Service, picture: Path) -> Upload:
    limit = service.options.max_request_mib * 2**20

    def read() -> Upload:
        try:
            with picture.open("rb") as file:
                content = file.read(limit + 1)
        except OSError:
            raise refused("the picture is not kept any more: upload it again", "image") from None
        if len(content) > limit:
            raise refused(f"the picture has more than {limit:,} bytes: send a smaller one", "image")
        return Upload(content, "")

    return await service.in_thread(read)


def _begin(service: Service) -> Exchange:
    request_id = secrets.token_hex(16)
    return Exchange(request_id, Line(request_id, "POST", ROUTE), service.budget)


@contextmanager
def _told(service: Service) -> "Iterator[Exchange]":
    """An exchange that ends as one of HTTP does: memory given back, counted, in the log."""
    exchange = _begin(service)
    line = exchange.line
    line.status = 499  # until it is done, the person may have left
    try:
        yield exchange
        line.status = 200
    except Exception as error:
        problem = problem_of(error)
        line.status, line.kind = problem.status, problem.kind
        if problem.status == 500:
            log_fault(exchange.id, error)
        raise problem from None
    finally:
        exchange.let_go()
        seconds = time.monotonic() - exchange.began
        line.ms = round(1000 * seconds, 1)
        service.metrics.count_request(line, seconds)
        log_request(line)
