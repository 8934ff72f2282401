"""`palikit data scenes`: drawn pictures with their exact truth, to try everything on."""

from pathlib import Path

import click

from palikit.cli.command import Command
from palikit.errors import InputError, counted


@click.command(
    cls=Command,
    epilog="""\
palikit data scenes scenes/ --number 100
palikit evaluate --data scenes/ --task detect""",
)
@click.argument("destination", metavar="DST")
@click.option(
    "--number", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Scenes."
)
@click.option(
    "--first",
    type=click.IntRange(0, 900_000),
    default=0,
    show_default=True,
    help="Number of the first scene; a number is always the same scene.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def scenes(destination: str, number: int, first: int, *, overwrite: bool) -> None:
    """Draw scenes, as nano knows them and was not taught.

    DST gets test.jsonl, with rows of detect, segment, vqa, caption and ocr, and a folder of
    pictures. They are what nano is measured on.
    """
    from palikit.cli.data_model import outline_encoder
    from palikit.data.writing import write_jsonl
    from palikit.loading import mask_codec_in
    from palikit.nano.scene_rows import scene_rows
    from palikit.published import BUILT_IN_FOLDER

    file = Path(destination) / "test.jsonl"
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists: choose another folder, or --overwrite it")
    codec = mask_codec_in([BUILT_IN_FOLDER])
    if codec is None:
        raise InputError("the built-in model has no mask codec here: install PaliKit anew")
    pictures = file.absolute().parent / "images"
    try:
        if not overwrite and pictures.is_dir() and any(pictures.iterdir()):
            raise InputError(f"{pictures} is not empty: choose another folder, or --overwrite it")
        pictures.mkdir(parents=True, exist_ok=True)
        rows = list(scene_rows(number, pictures, outline_encoder(codec), first))
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{destination} cannot be written ({reason}): choose another") from error
    write_jsonl(rows, file, overwrite=overwrite)
    click.echo(f"{file}: {counted(len(rows), 'row')} about {counted(number, 'scene')}")
