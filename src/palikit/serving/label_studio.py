"""Label Studio's machine learning backend: `/setup`, `/health`, `/predict`.

    RectangleLabels   what `detect` finds of its labels
    PolygonLabels     the outlines `segment` finds, where the model has a mask codec
    TextArea          the answer to the task's `question` where it has one; the text of the picture
                      where the control's name holds "ocr"; else a caption

Other controls are left to people. Pictures are fetched from --label-studio-url and the hosts of
--allow-url-hosts alone: what a request says of hosts and tokens is not believed.

Source: the formats of labelstud.io, guide/ml_create and guide/predictions.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin
from xml.etree import ElementTree as XmlTree

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from palikit import tasks
from palikit.errors import InputError
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.results import Detection, Detections, Segment, Segments
from palikit.serving.exchange import Exchange, exchange_of
from palikit.serving.problems import Problem, as_json, problem_of, refused
from palikit.serving.service import Service
from palikit.tasks import Task

_MAX_CONFIG = 65_536
_AT_ONCE = 4
"""Tasks in hand together: a list of them leaves the queue to others."""

_SHAPES = {"RectangleLabels": "rectanglelabels", "PolygonLabels": "polygonlabels"}
_VARIABLE = re.compile(r"\$([\w.-]+)")
_EXAMPLE = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
    '<Label value="star"/></RectangleLabels></View>'
)


class PredictAsked(BaseModel):
    """Tasks to label; Label Studio's further fields are not needed."""

    tasks: list[dict[str, Any]] = Field(
        max_length=64,
        description="As Label Studio has them: a picture under the key that the labelling "
        "interface names.",
        examples=[[{"id": 1, "data": {"image": "/data/upload/1/scene.png"}}]],
    )
    label_config: str = Field(
        max_length=_MAX_CONFIG,
        description="The labelling interface.",
        examples=[_EXAMPLE],
    )


class SetupAsked(BaseModel):
    """The labelling interface of a project; the rest of what is sent is not needed."""

    label_config: str = Field("", alias="schema", max_length=_MAX_CONFIG)


@dataclass(frozen=True)
class Control:
    """A control of a labelling interface that the model can fill in.

    Attributes:
        tag: RectangleLabels, PolygonLabels or TextArea.
        name: of the control.
        to_name: of the picture.
        key: of a task's data, under which the picture is.
        labels: to choose from.
    """

    tag: str
    name: str
    to_name: str
    key: str
    labels: tuple[str, ...]


def label_studio_routes(service: Service) -> APIRouter:
    """The router."""
    router = APIRouter(tags=["Label Studio"])

    @router.get("/health", summary="Whether the model is there", response_model=None)
    async def health() -> Response:
        return _json({"status": "UP", "model_class": service.name})

    @router.post("/setup", summary="Begin a project", response_model=None)
    async def setup(asked: SetupAsked) -> Response:
        if asked.label_config:
            controls_of(asked.label_config)
        return _json({"model_version": service.name})

    @router.post("/predict", summary="Label tasks", operation_id="predict", response_model=None)
    async def predict(request: Request, asked: PredictAsked) -> Response:
        exchange = exchange_of(request)
        controls = controls_of(asked.label_config)
        _check_masks(service, controls)
        results: list[Any] = []
        for start in range(0, len(asked.tasks), _AT_ONCE):
            some = asked.tasks[start : start + _AT_ONCE]
            results += await asyncio.gather(
                *(_labelled(service, exchange, task, controls) for task in some)
            )
        return _json({"results": results, "model_version": service.name})

    return router


def controls_of(config: str) -> tuple[Control, ...]:
    """The controls of a labelling interface that the model can fill in; raises Problem if none."""
    # A document type could define entities that grow without end; an interface has none.
    if re.search(r"<!(?!--)", config):
        raise refused("the labelling interface may hold no <!...> but comments", "label_config")
    try:
        root = XmlTree.fromstring(config)  # noqa: S314 (no entities can be defined in it)
    except XmlTree.ParseError:
        raise refused("the labelling interface is not valid XML", "label_config") from None
    keys = {
        str(each.get("name")): match[1]
        for each in root.iter("Image")
        if (match := _VARIABLE.fullmatch(each.get("value", "")))
    }
    found = tuple(
        Control(each.tag, each.get("name", ""), to_name, keys[to_name], _labels(each))
        for each in root.iter()
        if each.tag in (*_SHAPES, "TextArea") and (to_name := each.get("toName", "")) in keys
    )
    if not found:
        raise refused(
            "nothing in the labelling interface can be filled in: expected RectangleLabels, "
            "PolygonLabels or TextArea of an Image with a value such as $image",
            "label_config",
        )
    return found


def task_of(control: Control, data: dict[str, Any]) -> Task:
    """What is asked for a control; raises InputError where its labels cannot be asked for."""
    if control.tag == "RectangleLabels":
        return tasks.detect(control.labels)
    if control.tag == "PolygonLabels":
        return tasks.segment(control.labels)
    question = data.get("question")
    if isinstance(question, str) and question.strip():
        return tasks.answer(question)
    return tasks.ocr() if "ocr" in control.name.lower() else tasks.caption()


def regions_of(control: Control, prediction: Prediction[Any]) -> list[dict[str, Any]]:
    """An answer as Label Studio's regions, in percent of the picture's sides."""
    width, height, result = prediction.width, prediction.height, prediction.result
    common = {"from_name": control.name, "to_name": control.to_name}
    if not isinstance(result, Detections | Segments):
        value = {"text": [result.text]}
        return [{**common, "id": control.name, "type": "textarea", "value": value}]
    shown = {
        **common,
        "type": _SHAPES[control.tag],
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
    }
    objects: Sequence[Detection | Segment] = result.objects
    return [
        {**shown, "id": f"{control.name}-{index}-{part}", "value": value, "score": found.score}
        for index, found in enumerate(objects)
        for part, value in enumerate(_values(control, found, width, height))
    ]


def _values(
    control: Control, found: Detection | Segment, width: int, height: int
) -> list[dict[str, Any]]:
    """The shapes of an object: its box, or the rings of its outline."""
    named = {_SHAPES[control.tag]: [found.label]}
    if isinstance(found, Detection):
        x, y, w, h = found.box.to_xywh()
        across, down = 100 / width, 100 / height
        box = {"x": x * across, "y": y * down, "width": w * across, "height": h * down}
        return [{**box, "rotation": 0, **named}]
    rings = found.mask.to_polygons() if found.mask is not None else []
    return [{"points": _percent(ring, width, height), **named} for ring in rings]


def _percent(ring: Sequence[float], width: int, height: int) -> list[list[float]]:
    return [[100 * x / width, 100 * y / height] for x, y in zip(ring[::2], ring[1::2], strict=True)]


async def _labelled(
    service: Service, exchange: Exchange, task: dict[str, Any], controls: Sequence[Control]
) -> dict[str, Any]:
    """The prediction of one task; where it cannot be labelled, none and the reason."""
    regions: list[dict[str, Any]] = []
    scores: list[float] = []
    try:
        for control in controls:
            prediction = await _asked(service, exchange, task, control)
            regions += regions_of(control, prediction)
            if prediction.score is not None:
                scores.append(prediction.score)
    except (Problem, InputError) as error:
        problem = problem_of(error)
        if problem.status != 400:
            raise
        return {"result": [], "model_version": service.name, "error": problem.message}
    score = min(scores, default=0.0)
    return {"result": regions, "score": score, "model_version": service.name}


async def _asked(
    service: Service, exchange: Exchange, task: dict[str, Any], control: Control
) -> Prediction[Any]:
    data = task.get("data")
    source = data.get(control.key) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(source, str):
        raise refused(f"the task has no picture under {control.key}")
    if source.startswith("/"):
        if service.options.label_studio_url is None:
            raise refused(
                "the picture is in Label Studio: start the server with --label-studio-url"
            )
        source = urljoin(service.options.label_studio_url, source)
    asked, options = task_of(control, data), GenerationOptions()
    with exchange.part() as hold:
        question = await service.prepare(exchange, [source], asked, options, hold)
        return await service.answer(exchange, question)


def _labels(control: XmlTree.Element) -> tuple[str, ...]:
    return tuple(each.get("value", "") for each in control.iter("Label"))


def _check_masks(service: Service, controls: Sequence[Control]) -> None:
    needs_masks = any(each.tag == "PolygonLabels" for each in controls)
    if needs_masks and not service.ready.scheduler.has_masks:
        raise refused(
            "this model has no mask codec, which outlines need: use RectangleLabels, or start the "
            "server with --mask-codec",
            "label_config",
        )


def _json(value: Any) -> Response:
    return Response(as_json(value), media_type="application/json")
