"""An answer as the page shows it: what is drawn and what can be downloaded."""

import json
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from palikit.drawing import draw
from palikit.prediction import Prediction
from palikit.results import Objects

_KEPT_SECONDS = 3600.0


@dataclass(frozen=True)
class View:
    """What a person wants to see of an answer.

    Attributes:
        boxes, masks: whether they are drawn.
        min_score: of an object, 0 to 1; one without a score is always shown.
    """

    boxes: bool = True
    masks: bool = True
    min_score: float = 0.0


def filtered(prediction: Prediction[Any], view: View) -> Prediction[Any]:
    """The answer with the objects that reach the score."""
    result = prediction.result
    if not isinstance(result, Objects):
        return prediction
    kept = tuple(f for f in result if f.score is None or f.score >= view.min_score)
    return replace(prediction, result=replace(result, objects=kept))


def drawn(picture: Image.Image, prediction: Prediction[Any], view: View) -> Image.Image:
    """The picture with what is to be seen of an answer on it."""
    return draw(picture, filtered(prediction, view).result, boxes=view.boxes, masks=view.masks)


def written(
    folder: Path, picture: Image.Image, prediction: Prediction[Any]
) -> tuple[str, str, str]:
    """Files for the downloads: the record as JSON, the drawing as PNG, results as COCO has them.

    Args:
        folder: of the server; what lies there for an hour is thrown away.
        picture: as it is to be saved.
        prediction: as it is to be saved.
    """
    _throw_away_old(folder)
    own = folder / secrets.token_hex(16)
    own.mkdir(parents=True)
    paths = own / "palikit.json", own / "palikit.png", own / "palikit-coco.json"
    paths[0].write_text(_json(prediction.to_dict()), "utf-8", "backslashreplace")
    picture.save(paths[1], compress_level=1)
    paths[2].write_text(_json(prediction.to_coco()), "utf-8", "backslashreplace")
    first, second, third = map(str, paths)
    return first, second, third


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _throw_away_old(folder: Path) -> None:
    until = time.time() - _KEPT_SECONDS
    for each in folder.glob("*"):
        if each.stat().st_mtime < until:
            shutil.rmtree(each, ignore_errors=True)
