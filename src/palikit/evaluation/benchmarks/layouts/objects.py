"""Objects in COCO's layout: detection in COCO and DocLayNet, outlines of RefCOCO's expressions."""

from collections.abc import Iterator, Mapping

from palikit.data.coco_outlines import box_of, outline_of
from palikit.data.findings import finite_numbers
from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, entries_of
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.metrics.objects import TrueObject
from palikit.pictures import DEFAULT_MAX_PIXELS, check_size


def coco_detection(source: Source) -> Iterator[Entry]:
    """annotations/instances_val2017.json and val2017/, COCO's own."""
    return _detection(source, f"instances_{source.split}2017.json", f"{source.split}2017")


def doclaynet(source: Source) -> Iterator[Entry]:
    """COCO/test.json and PNG/, DocLayNet's own."""
    return _detection(source, f"COCO/{source.split}.json", "PNG")


def _detection(source: Source, file: str, folder: str) -> Iterator[Entry]:
    path = source.need(file)
    classes = {item.name("id"): item.text("name") for item in entries_of(path, "categories")}
    marked: dict[str, list[TrueObject]] = {}
    for item in entries_of(path, "annotations"):
        label = classes.get(item.name("category_id"))
        if label is None:
            raise item.fault("category_id", f"one of the {len(classes)} categories")
        found = _object(item, label)
        marked.setdefault(item.name("image_id"), []).append(found)
    for item in entries_of(path, "images"):
        name = item.name("id")
        yield Entry(
            name,
            (source.file(item.text("file_name"), item.where, folder, "images"),),
            objects=tuple(marked.pop(name, ())),
            where=item.where,
        )
    for name in marked:
        raise InputError(f"{path}: annotations name image {name}, which is not among the images")


def refcoco_unc(source: Source) -> Iterator[Entry]:
    """refs(unc).json and instances.json: every sentence of every object is a question."""
    return _referrals(source, "refs(unc).json")


def refcoco_umd(source: Source) -> Iterator[Entry]:
    """As `refcoco_unc` with refs(umd).json, RefCOCOg."""
    return _referrals(source, "refs(umd).json")


def _referrals(source: Source, file: str) -> Iterator[Entry]:
    path = source.need(file)
    instances = source.need("instances.json")
    wanted = [item for item in entries_of(path) if item.text("split") == source.split]
    drawn = {item.name("ann_id") for item in wanted}
    objects = {
        item.name("id"): item
        for item in entries_of(instances, "annotations")
        if item.name("id") in drawn
    }
    images = {item.name("id"): item for item in entries_of(instances, "images")}
    for item in wanted:
        yield from _sentences(source, item, objects, images)


def _sentences(
    source: Source, item: Item, objects: Mapping[str, Item], images: Mapping[str, Item]
) -> Iterator[Entry]:
    image, annotation = images.get(item.name("image_id")), objects.get(item.name("ann_id"))
    if image is None or annotation is None:
        raise InputError(
            f"{item.where}: its image or object is not in instances.json: give the files of one "
            "release"
        )
    size = (image.whole("width"), image.whole("height"))
    check_size(size, f"the image of {item.where}", DEFAULT_MAX_PIXELS)  # before outlines are filled
    true = _object(annotation, "", size)
    picture = source.file(image.text("file_name"), item.where, "train2014", "images")
    for sentence in item.items("sentences"):
        yield Entry(
            sentence.name("sent_id"),
            (picture,),
            sentence.text("raw"),
            objects=(true,),
            where=item.where,
        )


def _object(item: Item, label: str, size: tuple[int, int] | None = None) -> TrueObject:
    """An annotation, with its outline where the picture's size is given."""
    parts = {key: item.any(key) for key in ("bbox", "segmentation") if key in item}
    try:
        mask = None if size is None else outline_of(parts.get("segmentation"), size)
        if size is not None and mask is None:
            raise InputError("it has no segmentation: expected polygons or run lengths")
        box = box_of(parts, mask, size or (0, 0))
    except InputError as error:
        raise InputError(f"{item.where}: {error}") from error
    area = finite_numbers([item.any("area")], 1)
    crowd = "iscrowd" in item and item.flag("iscrowd")
    return TrueObject(label, box, mask, crowd=crowd, area=None if area is None else area[0])
