"""COCO's files as our metrics take them, and our figures in COCO's order."""

from typing import Any

from palikit.evaluation.metrics.detection import DetectionScores, average_precision
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.masks import Mask
from palikit.results import Box, Detection, Segment


def box_of(x: float, y: float, width: float, height: float) -> Box:
    return Box(x, y, x + width, y + height)


def from_coco(
    truth: dict[str, Any], results: list[dict[str, Any]], *, masks: bool = False
) -> list[PictureObjects]:
    """The same case as our metrics take it; labels are category ids as text."""
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}

    def mask(segmentation: Any, image_id: int) -> Mask:
        from pycocotools import mask as coco_mask

        width, height = sizes[image_id]
        if isinstance(segmentation, list):
            parts = coco_mask.frPyObjects(segmentation, height, width)
            segmentation = coco_mask.merge(parts)
        return Mask.from_rle(segmentation)

    pictures = []
    for image_id in sorted(sizes):
        true = tuple(
            TrueObject(
                str(each["category_id"]),
                box_of(*each["bbox"]),
                mask(each["segmentation"], image_id) if masks else None,
                crowd=bool(each.get("iscrowd")),
                area=each["area"],
            )
            for each in truth["annotations"]
            if each["image_id"] == image_id
        )
        found = tuple(
            Segment(
                Box(0, 0, 1, 1),
                str(each["category_id"]),
                (0,) * 16,
                mask(each["segmentation"], image_id),
                each["score"],
            )
            if masks
            else Detection(box_of(*each["bbox"]), str(each["category_id"]), each["score"])
            for each in results
            if each["image_id"] == image_id
        )
        pictures.append(PictureObjects(true, found))
    return pictures


def figures(scores: DetectionScores) -> list[float]:
    """In COCO's order, without the recall of few detections; -1 as there for what is undefined."""
    values = (
        *(scores.ap, scores.ap50, scores.ap75),
        *(scores.ap_small, scores.ap_medium, scores.ap_large),
        *(scores.recall, scores.recall_small, scores.recall_medium, scores.recall_large),
    )
    return [-1.0 if value is None else value for value in values]


def all_twelve(pictures: list[PictureObjects], **options: Any) -> list[float | None]:
    """The figures of COCO's printout, in its order."""
    scores = figures(average_precision(pictures, **options))
    few = [average_precision(pictures, max_detections=n, **options).recall for n in (1, 10)]
    return [*scores[:6], *few, *scores[6:]]
