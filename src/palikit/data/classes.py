"""The classes of a data set as a model is asked for them: renamed, chosen, checked."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from palikit import tasks
from palikit.data.findings import Findings
from palikit.data.options import RenderOptions
from palikit.errors import InputError

_FORBIDDEN = re.compile(r"\s*;\s*")


@dataclass(frozen=True)
class Classes:
    """What becomes of each label.

    Attributes:
        names: the classes in the order of prompts.
        name_of: the class of each label of the source; labels that were not chosen are not in it.
    """

    names: tuple[str, ...]
    name_of: Mapping[str, str]


def choose_classes(
    labels: Iterable[str], options: RenderOptions, findings: Findings, where: str
) -> Classes:
    """Rename and choose, by `options.rename` and `options.classes`.

    Args:
        labels: those of the source, in its order.
        options: what was asked.
        findings: takes an error for every name that a prompt cannot hold.
        where: what messages call the source.

    Raises:
        InputError: a class to rename or choose is not there.
    """
    known = tuple(dict.fromkeys(labels))
    renames = dict(options.rename)
    _require(renames, known, "rename")
    name_of = {label: renames.get(label, label) for label in known}
    names = tuple(dict.fromkeys(name_of.values()))
    if options.classes is not None:
        chosen = tuple(dict.fromkeys(each.strip() for each in options.classes.split(";")))
        _require(chosen, names, "classes")
        names = chosen
    good = tuple(name for name in names if _is_usable(name, findings, where))
    kept = {label: name for label, name in name_of.items() if name in good}
    return Classes(good, kept)


def _require(asked: Iterable[str], known: tuple[str, ...], option: str) -> None:
    for name in asked:
        if name not in known:
            raise InputError(
                f"--{option} speaks of {name!r}, which is not among the classes: "
                f"{', '.join(known) or 'there are none'}"
            )


def _is_usable(name: str, findings: Findings, where: str) -> bool:
    if ";" in name:
        plain = _FORBIDDEN.sub(" and ", name).strip()
        findings.error(
            where,
            f'the class {name!r} holds ";", which stands between the classes of a prompt: rename '
            f'it, for example with --rename "{name}={plain}"',
            "class name",
        )
        return False
    try:
        tasks.detect((name,))
    except InputError as error:
        findings.error(where, f'{error}; for example with --rename "{name}=thing"', "class name")
        return False
    return True
