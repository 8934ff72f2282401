"""The PTB tokens beside those of the Java program in pycocoevalcap, on generated captions."""

import importlib.util
import itertools
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from palikit.evaluation.metrics.ptb import PUNCTUATION, tokenize
from tests.evaluation.golden_cases import audio_captions

WORDS_TEXT = (
    "a man woman dogs sitting on the table with in front of red bus standing near people playing "
    "frisbee cat's dogs' Mr. Smith U.S. don't can't it's they're I'd've 2 10 1/2 12:30 5'10 p.m. "
    "a.m. St. No. black-and-white T-shirt 10-year-old and/or McDonald's O'Brien rock'n'roll $5 "
    "$1,000.50 50% 7-Eleven www.site.com site.com/a/b.html me@mail.com A.J. Inc. Co. Ave. vs. etc. "
    "e.g. i.e. Ph.D. #1 #win @home 1980s '80s 3rd 4x4 café naïve señor Über The A An I'm we'll "
    "o'clock 'til 'em y'all gonna cannot wanna 1,000 3.5 .5 -5 +1 24/7 12/25/2003 555-1234 "
    "(555) 555-1234 TV's iPhone Wi-Fi Coca-Cola AT&T b&w H&M C++ file.txt straße l'été c'est "
    "猫が座っている 一只猫 แมวนั่ง कुत्ता-बैठा собака стол γάτα قطة כלב 고양이 ăn phở ½ m² 5°C"
)
WORDS = WORDS_TEXT.split(" ")
JOINTS = (
    [" "] * 40
    + [", ", ". ", "; ", ": ", "-", " - ", " -- ", "--", "—", " – ", "...", "… ", "!", "? ", "!! "]
    + [" (", ") ", "[", "] ", "{", "}", "<", "> ", ' "', '" ', '"', " '", "' ", "'", " “", "” "]
    + [" ‘", "’ ", "&amp;", " & ", "/", " / ", "+", "=", " * ", "_", " | ", ".", ",", " :) "]
    + [" ;-) ", "£", "€", "°", "™", "😀", "\xa0", "。", "、", "،", "«", "»", "&quot;", "\\", "~"]
)


def jar() -> Path:
    if not shutil.which("java"):
        pytest.skip("needs java, which is not installed")
    found = importlib.util.find_spec("pycocoevalcap")
    folders = list(found.submodule_search_locations or []) if found else []
    jars = [
        path for each in folders for path in Path(each).glob("tokenizer/stanford-corenlp-*.jar")
    ]
    if not jars:
        pytest.skip("needs pycocoevalcap, whose tokenizer is the one compared with")
    return jars[0]


def official(captions: list[str], folder: Path) -> list[str]:
    """As pycocoevalcap calls it, but with a neutral line behind each caption."""
    path = folder / "captions.txt"
    path.write_text("".join(each.replace("\n", " ") + "\nend\n" for each in captions), "utf-8")
    command = ["java", "-cp", str(jar()), "edu.stanford.nlp.process.PTBTokenizer"]
    command += ["-preserveLines", "-lowerCase", str(path)]
    lines = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\n")
    assert lines[1 : 2 * len(captions) : 2] == ["end"] * len(captions)
    kept = [
        [word for word in line.rstrip().split(" ") if word not in PUNCTUATION] for line in lines
    ]
    return [" ".join(words) for words in kept[: 2 * len(captions) : 2]]


def differences(captions: list[str], folder: Path) -> list[tuple[str, str, str]]:
    rows = zip(captions, official(captions, folder), map(tokenize, captions), strict=True)
    return [row for row in rows if row[1] != row[2]]


def cased(word: str, chance: random.Random) -> str:
    return chance.choice([word, word, word, word.upper(), word.capitalize()])


def ordinary(count: int) -> list[str]:
    """Captions of ordinary words, numbers and signs, joined in ordinary and odd ways."""
    chance = random.Random(20)
    return [
        "".join(
            cased(chance.choice(WORDS), chance) + chance.choice(JOINTS)
            for _ in range(chance.randint(3, 14))
        )
        for _ in range(count)
    ]


def jumbled(letters: str, longest: int, count: int) -> list[str]:
    chance = random.Random(21)
    return ["".join(chance.choices(letters, k=chance.randint(2, longest))) for _ in range(count)]


def signs(count: int) -> list[str]:
    """Characters of all scripts in and between words; above 1,500 by chance."""
    breaks = {0x0A, 0x0B, 0x0C, 0x0D, 0x85, 0x2028, 0x2029}
    codes = [c for c in range(1, 0x10000) if not 0xD800 <= c < 0xE000 and c not in breaks]
    first = count // 4
    chosen = codes[:first] + random.Random(22).sample(codes[first:], count - first)
    return [f"a{sign}b {sign} 1{sign}2 c{sign} d" for sign in map(chr, chosen)]


def real() -> list[str]:
    """All captions of the golden cases, answers and references."""
    pairs = [audio_captions(number) for number in (1, 2)]
    return [
        text for answers, references in pairs for text in (*answers, *itertools.chain(*references))
    ]


JUMBLES = (
    ("abcdeABDE  0123..,,--''\"/&$%()!?:;@#_", 12),
    ("0123456789    --..,/()+a", 16),
    ("aB1é-/.'&ns_,: \"", 9),
    ("aßçłøżČאبहिंกำ中あ가٣५ -'.,", 10),
)


@pytest.mark.parametrize("count", [500, pytest.param(6_000, marks=pytest.mark.parity)])
def test_captions_of_ordinary_kinds_have_the_same_tokens(count: int, tmp_path: Path) -> None:
    assert differences(ordinary(count), tmp_path) == []


@pytest.mark.parity
@pytest.mark.parametrize(("letters", "longest"), JUMBLES)
def test_letters_in_any_order_have_the_same_tokens(
    letters: str, longest: int, tmp_path: Path
) -> None:
    assert differences(jumbled(letters, longest, 3_000), tmp_path) == []


@pytest.mark.parity
def test_characters_of_all_scripts_are_taken_for_the_same(tmp_path: Path) -> None:
    assert differences(signs(6_000), tmp_path) == []


@pytest.mark.parity
def test_real_captions_have_the_same_tokens(tmp_path: Path) -> None:
    captions = real()
    assert len(captions) == 8_256
    assert differences(captions, tmp_path) == []
