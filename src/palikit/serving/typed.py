"""`POST /v1/{caption,describe,answer,ocr,detect,segment}`: the library's verbs over HTTP."""

import base64
import io
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from PIL import Image as PILImage
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.responses import Response

from palikit.masks import Mask
from palikit.prediction import Prediction
from palikit.results import Segments
from palikit.serving import schemas
from palikit.serving.exchange import exchange_of
from palikit.serving.problems import Problem, as_json, refused
from palikit.serving.service import Service
from palikit.serving.uploads import Source, Upload

_MAX_FIELDS = 32


@dataclass(frozen=True)
class _Route:
    """A verb: what it is asked and what it answers."""

    verb: str
    summary: str
    asked: type[schemas.Asked]
    told: type[BaseModel]


_ROUTES = (
    _Route("caption", "A caption", schemas.CaptionAsked, schemas.TextTold),
    _Route("describe", "A longer description", schemas.DescribeAsked, schemas.TextTold),
    _Route("answer", "The answer to a question", schemas.AnswerAsked, schemas.TextTold),
    _Route("ocr", "The text in the picture", schemas.OcrAsked, schemas.TextTold),
    _Route("detect", "Boxes", schemas.DetectAsked, schemas.DetectionsTold),
    _Route("segment", "Boxes and outlines", schemas.SegmentAsked, schemas.SegmentsTold),
)


@dataclass(frozen=True)
class _Asked:
    """A request, read: its pictures apart from everything else."""

    sources: list[Source]
    body: schemas.Asked


def typed_routes(service: Service) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1", tags=["tasks"])
    for route in _ROUTES:
        router.add_api_route(
            f"/{route.verb}",
            _endpoint(service, route),
            methods=["POST"],
            summary=route.summary,
            operation_id=route.verb,
            response_model=None,
            responses={200: {"model": route.told, "content": {"image/png": {}}}},
            openapi_extra={"requestBody": _body_schema(route.asked), "parameters": [_OVERLAY]},
        )
    return router


def _endpoint(service: Service, route: _Route) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        exchange = exchange_of(request)
        asked = await _read(request, route.asked)
        wants_overlay = _wants_overlay(request)
        question = await service.prepare(
            exchange, asked.sources, asked.body.task(), asked.body.options()
        )
        prediction = await service.answer(exchange, question)
        if wants_overlay:
            content = await service.in_thread(lambda: png_of(prediction.draw()))
            return Response(content, media_type="image/png")
        form = asked.body.mask_form()
        told = await service.in_thread(lambda: as_json(record_of(prediction, form)))
        return Response(told, media_type="application/json")

    endpoint.__name__ = route.verb
    return endpoint


def record_of(prediction: Prediction[Any], masks: schemas.MaskForm = "rle") -> dict[str, Any]:
    """`Prediction.to_dict`, with masks in the form asked for."""
    record = prediction.to_dict()
    if masks != "rle" and isinstance(prediction.result, Segments):
        for told, found in zip(record["result"]["objects"], prediction.result, strict=True):
            told["mask"] = None if found.mask is None else _in_form(found.mask, masks)
    return record


def png_of(picture: PILImage.Image) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _in_form(mask: Mask, form: schemas.MaskForm) -> str | list[list[float]] | None:
    if form == "polygons":
        return mask.to_polygons()
    if form == "none":
        return None
    picture = PILImage.fromarray(mask.to_array())
    return "data:image/png;base64," + base64.b64encode(png_of(picture)).decode()


async def _read(request: Request, model: type[schemas.Asked]) -> _Asked:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return _of_json(await request.body(), model)
    if kind == "multipart/form-data":
        return await _of_form(request, model)
    raise Problem(415, "media_type", "the body must be application/json or multipart/form-data")


def _of_json(content: bytes, model: type[schemas.Asked]) -> _Asked:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        raise Problem(400, "invalid_json", "the body is not valid JSON") from None
    body = _checked_fields(model, value)
    sources: list[Source] = [body.image] if isinstance(body.image, str) else list(body.image)
    return _checked(_Asked(sources, body))


async def _of_form(request: Request, model: type[schemas.Asked]) -> _Asked:
    """A form: files and texts named `image`, and one text for each other field."""
    texts: dict[str, Any] = {}
    sources: list[Source] = []
    limit = 2**20
    async with request.form(
        max_files=_MAX_FIELDS, max_fields=_MAX_FIELDS, max_part_size=limit
    ) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise refused("files are taken under the name image only", "image")
                sources.append(Upload(await value.read(), value.content_type or ""))
            elif name == "image":
                sources.append(value)
            elif name in texts:
                raise refused("a field is given twice", name[:64])
            else:
                texts[name] = value
    return _checked(_Asked(sources, _checked_fields(model, {**texts, "image": []})))


def _checked_fields(model: type[schemas.Asked], value: Any) -> schemas.Asked:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(found, body=value) from None


def _checked(asked: _Asked) -> _Asked:
    if len(asked.sources) > 1 and not asked.body.takes_several:
        raise refused("one picture at a time here: its boxes and its text are its own", "image")
    return asked


def _wants_overlay(request: Request) -> bool:
    """Whether the drawn picture is asked for, by ?overlay=png or by the Accept header."""
    overlay = request.query_params.get("overlay")
    if overlay not in (None, "", "none", "png"):
        raise refused("overlay: only png can be drawn", "overlay")
    unknown = sorted(set(request.query_params) - {"overlay"})
    if unknown:
        raise Problem(400, "unknown_parameter", "there is no such parameter in the address")
    kinds = [
        part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")
    ]
    return overlay == "png" or (kinds[0] == "image/png" and overlay != "none")


_OVERLAY = {
    "name": "overlay",
    "in": "query",
    "schema": {"type": "string", "enum": ["png", "none"], "default": "none"},
    "description": "png for the picture with the answer drawn on it, instead of JSON; the header "
    "Accept: image/png does the same.",
}


def _body_schema(model: type[schemas.Asked]) -> dict[str, Any]:
    """The request in both forms, with an example."""
    schema = model.model_json_schema()
    names = schema["properties"]
    example = {
        name: names[name]["examples"][0] for name in schema["required"] if "examples" in names[name]
    }
    image = {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": names["image"]["description"],
    }
    form = {**schema, "properties": {**names, "image": image}}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": schema, "example": example},
            "multipart/form-data": {"schema": form},
        },
    }
