"""A folder of pictures and rows with everything wrong that can be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CAT = "<loc0100><loc0100><loc0500><loc0500> cat"
DOG = "<loc0200><loc0300><loc0700><loc0900> dog"
PROMPT = "detect cat ; dog"


def save_picture(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> None:
    """A picture of noise: another seed, another picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def save_turned(path: Path, seed: int, size: tuple[int, int] = (64, 48)) -> None:
    """A picture whose EXIF orientation turns it by a quarter."""
    save_picture(path, seed, size)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(path) as picture:
        picture.load()
    picture.save(path, exif=exif)


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def row(image: str, prefix: str = PROMPT, suffix: Any = CAT, **more: Any) -> dict[str, Any]:
    return {"image": image, "prefix": prefix, "suffix": suffix, **more}


def whole_folder(folder: Path) -> Path:
    """Nothing is wrong here: 4 rows to train on, 2 to measure on."""
    for index in range(4):
        save_picture(folder / f"t{index}.png", index)
    for index in range(2):
        save_picture(folder / f"v{index}.png", 10 + index)
    write_rows(
        folder / "train.jsonl", [row(f"t{i}.png", suffix=f"{CAT} ; {DOG}") for i in range(4)]
    )
    write_rows(folder / "val.jsonl", [row(f"v{i}.png") for i in range(2)])
    return folder


def broken_folder(folder: Path) -> Path:
    """Every kind of problem at least once; the line is told by the comment."""
    for index in range(20):
        save_picture(folder / f"t{index}.png", index)
    cut = folder / "cut.png"
    save_picture(cut, 30)
    cut.write_bytes(cut.read_bytes()[:-2000])
    (folder / "text.jpg").write_text("no picture")
    (folder / "copy.png").write_bytes((folder / "t0.png").read_bytes())
    (folder / "leak.png").write_bytes((folder / "t1.png").read_bytes())
    save_turned(folder / "turned.jpg", 31)
    cat = {"label": "cat", "bbox": [6, 5, 32, 24]}
    write_rows(
        folder / "train.jsonl",
        [
            row("t0.png"),  # 1
            row("t1.png"),  # 2: in test, too
            row("gone.png"),  # 3
            row("cut.png"),  # 4
            row("text.jpg"),  # 5
            row("copy.png", suffix=DOG),  # 6
            row("t2.png", suffix=""),  # 7
            row("t3.png", suffix=f"{CAT} ; {CAT}"),  # 8
            row("t4.png", suffix="<loc0100><loc0100><loc0500> cat"),  # 9
            row("t5.png", suffix=CAT.replace("cat", "bird")),  # 10
            row("t6.png", "detect cat ; Cats ; dog"),  # 11
            row("t7.png", "detect cat;dog", f"{CAT};{DOG}"),  # 12
            row("t8.png", "caption <loc0001> en", "a cat"),  # 13
            row("t9.png", "caption en", "a cat<eos>"),  # 14
            row("t10.png", "caption en\n", "a cat"),  # 15
            row("turned.jpg", objects=[cat], width=64, height=48),  # 16
            row("t11.png", objects=[{**cat, "bbox": [6, 5, 99, 24]}], width=64, height=48),  # 17
            row("t12.png", objects=[{**cat, "bbox": [6, 5, 6, 24]}], width=64, height=48),  # 18
            row("t13.png", "caption en", "a very long caption " * 300),  # 19
            row("t0.png"),  # 20: as line 1
            row("t14.png", "detect a < b", CAT.replace("cat", "a < b")),  # 21
            row("t15.png", "detect", CAT),  # 22
            row("t16.png", "detect cat", "", objects=[]),  # 23: in order
            row("t17.png", suffix=7),  # 24
            row("t18.png", objects=[{"label": "a ; b", "bbox": [1, 1, 9, 9]}]),  # 25
            row("t0.png", "caption en", "noise"),  # 26: in order
        ],
    )
    save_picture(folder / "test" / "t19.png", 40)
    write_rows(
        folder / "test.jsonl",
        [
            row("leak.png"),
            row("test/t19.png", "detect zebra", CAT.replace("cat", "zebra")),
        ],
    )
    write_rows(folder / "val.jsonl", [row("t19.png")])
    return folder
