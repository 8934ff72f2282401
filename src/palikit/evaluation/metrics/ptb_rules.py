r"""The kinds of token that the PTB tokenizer knows, as patterns over shapes.

At each place the pattern that reaches furthest wins, the context it asks for included, and of
equals the first; its group 1 is the token. Lists of words were found by trying each word of a large
vocabulary on the tokenizer that pycocoevalcap runs, and every pattern is checked against it.

Letters of shapes (see `ptb_characters`): é stands for any letter above ASCII, ô for a mark, ٣ for a
digit above ASCII, § for a sign, and \x01 for what is dropped. The soft hyphen
(\xad) goes as a letter and is not written.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

Writer = Callable[[str], str]


@dataclass(frozen=True)
class Rule:
    """One kind of token.

    Attributes:
        pattern: over shapes; group 1 is the token, what stands behind it is context.
        write: the token as it is written, of the text it stands for; "" for none.
    """

    pattern: re.Pattern[str]
    write: Writer


_LETTER = r"(?:[A-Za-zéô\xad]|&[aeiouAEIOU](?:acute|grave|uml);)"
_DIGIT = r"[0-9٣]"
_ALNUM = r"[A-Za-z0-9\xad]"
_APOSTROPHE = r"(?:['\x92’]|&apos;)"
_QUOTE = r"(?:[`'\x91\x92‘’‛]|&apos;)"

_RUN = rf"{_LETTER}(?:{_LETTER}|{_DIGIT})*"
_WORD = rf"{_RUN}(?:[.!?]{_RUN})*"
_CLITIC = rf"{_APOSTROPHE}(?:[msdMSD]|re|ve|ll|RE|VE|LL)"

# black-and-white, 10-year-old, 1.5-inch, non-U.S.
_HYPHENED = rf"[A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:(?:[A-Za-z]\.){{2,}}|{_ALNUM}+))+"
# naïve-looking, a_b-c, jack-o'lantern; any letters, but no marks or stops
_PART = rf"(?:[dDoOlL]{_QUOTE}[A-Za-z0-9é])?[A-Za-z0-9é٣\xad]+"
_JOINED = rf"{_PART}(?:[-_‐]{_PART})*"
# and/or, he/she/they, either/or-so
_SIDE = rf"{_ALNUM}+(?:-[A-Za-z\xad]+){{0,2}}"
_SLASHED = rf"{_SIDE}(?:\\?/{_SIDE}){{1,2}}"

# AT&T, A+B
_FIRM = r"[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+"

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_QUOTES = dict.fromkeys("‘‛\x91‹", "`") | dict.fromkeys("’\x92›", "'")
_QUOTES |= dict.fromkeys("“\x93«", "``") | dict.fromkeys("”\x94»", "''")
_SIGNS = dict.fromkeys("¤€₠\x80", "$") | {"¢": "cents", "£": "#"}
_SIGNS |= {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3"}
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&apos;": "'"}

_KEPT_WITH_STOP = (
    "adj adm adv alex assoc asst atty ave brig capt cf cie col cpl dept det dr drs elec ens ft gen "
    "gov hon insp jos lieut lt maj messrs mlle mme mr mrs ms mt natl pfc ph pres prof pvt rep reps "
    "rev sen sens sfc sgt spc st ste supt treas vs wm"
)
_KEPT_WITH_STOP_AND_MORE = (
    "al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est "
    "etc ext feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon "
    "mont neb nev nov oct okla penn plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues "
    "univ va vt wed wis wyo"
)
_KEPT_IN_CAPITALS = "ark az del ill la mass miss ore pa tex wash"
_KEPT_BEFORE_NUMBERS = "art ca fig figs no nos op pp prop"
_SENTENCE_STARTERS = (
    "A About According Additionally After An As At But Earlier He Her Here However If In It Last "
    r"Many More Mr\. Ms\. Now Once One Other Our She Since So Some Such That The Their Then There "
    "These They This We What When While Yet You"
)
_FILES = (
    "bat bmp c cgi class cpp dll docx? exe gif gz h html? jar java jpe?g mov mp3 pdf php pl png "
    "ppt ps py sql tar txt wav x xml zip"
)


def _plain(text: str) -> str:
    return text.replace("\xad", "").lower()


def _unbroken(text: str) -> str:
    return text.replace(" ", "\xa0").lower()


def _one_token(text: str) -> str:
    return _unbroken(text).replace("(", "-lrb-").replace(")", "-rrb-")


def _clitic(text: str) -> str:
    return re.sub("[‘‛\x91]", "`", re.sub(_APOSTROPHE, "'", text)).lower()


def _quotes(text: str) -> str:
    return "".join(_QUOTES.get(letter, letter) for letter in text)


def _hyphens(text: str) -> str:
    return text if len(text) >= 5 else "--"


def _nothing(_: str) -> str:
    return ""


def _entities(text: str) -> str:
    return _plain(text).replace("&amp;", "&")


def _of(table: dict[str, str]) -> Writer:
    return lambda text: table[text.lower()]


def _any(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


@cache
def rules() -> tuple[Rule, ...]:
    """All rules in their order, compiled once."""
    groups = (_words(), _apostrophes(), _addresses(), _numbers(), _stops(), _compounds(), _signs())
    return tuple(Rule(re.compile(pattern), write) for group in groups for pattern, write in group)


def _words() -> list[tuple[str, Writer]]:
    name, value = "[A-Za-z][A-Za-z0-9_:.-]*", r"'[^']*'|\"[^\"]*\""
    attribute = rf"[ ]+{name}(?:[ ]*=[ ]*(?:{value}))?"
    return [
        (rf"(<(?:[!?][A-Za-z-][^>\n]*|/{name}[ ]*|{name}(?:{attribute})*[ ]*/?[ ]*)>)", _unbroken),
        (r"((?i:can))(?i:not)", _plain),
        (r"((?i:gon|wan))(?i:na)", _plain),
        (r"((?i:gim|lem))(?i:me)", _plain),
        (r"((?i:got))(?i:ta)", _plain),
        # "don't" is "do" "n't"; any of the quotes may be its apostrophe.
        (rf"([A-Za-z\xad]*[A-MO-Za-mo-z]\xad*)[nN]{_QUOTE}[tT]", _plain),
        (rf"([nN]{_QUOTE}[tT])", _clitic),
        (rf"({_WORD})", _plain),
        (rf"({_WORD}){_CLITIC}", _plain),
        (rf"({_CLITIC})[^A-Za-z]", _clitic),
    ]


def _apostrophes() -> list[tuple[str, Writer]]:
    letter = "[A-Za-zé]"
    listed = "c'est c'mon s'mores nat'l li'l ev'ry cap'n e'er nor'easter"
    return [
        (rf"({_APOSTROPHE}[nN])\s", _plain),
        (rf"({_APOSTROPHE}[nN]{_APOSTROPHE})", _plain),
        (r"('[tT])(?:[iI][sS]|[wW][aA][sS])", _plain),
        (rf"([yY]{_APOSTROPHE}){letter}", _plain),  # y'all
        (rf"((?:[lLdDjJ]|(?i:dunkin|somethin|ol)){_APOSTROPHE})", _plain),
        (rf"({_APOSTROPHE}(?i:em|till?|cause|[2-9]0s))", _plain),
        (rf"({_APOSTROPHE}[0-9]{{2}})\s", _plain),  # '85
        (rf"([A-HJ-XZndlo]{_QUOTE}{letter}{{2,}})", _plain),  # O'Brien, d'or
        (rf"({letter}+[aeiouyAEIOUY]{_QUOTE}[aeiouA-Z]{letter}*)", _plain),  # ma'am, McA'Bee
        (rf"((?i:{_any(listed)}))", _plain),
    ]


def _addresses() -> list[tuple[str, Writer]]:
    inside, end = r"[^ \t\n\f\r\"<>|()]", r"[^ \t\n\f\r\"<>|.!?(){},-]"
    path = rf"(?:/{inside}+{end})?"
    mail = r"[^ \t\n\f\r\"<>|(){}\xa0]"
    label = r"[^ \t\n\f\r\"<>|(){}.\xa0]"
    # The range from comma to underscore keeps digits, capitals and hyphens out of such names.
    host = r"[^ \t\n\f\r\"`'|!?(){},-_$]"
    return [
        (rf"((?i:https?)://{inside}+{end})", _plain),
        (rf"((?i:www)\.(?:[^ \t\n\f\r\"<>|.!?(){{}},]+\.)+[A-Za-z]{{2,4}}{path})", _plain),
        (rf"((?:{host}+\.)+(?i:com|net|org|edu){path})", _plain),
        (rf"((?:<|&lt;)?[A-Za-z0-9]{mail}*@(?:{label}+\.)*{label}+(?:>|&gt;)?)", _plain),
        (r"(@[A-Za-z_][A-Za-z_0-9]*)", _plain),
        (rf"(#{_LETTER}+)", _plain),
    ]


def _numbers() -> list[tuple[str, Writer]]:
    few = "[- \xa0]"
    phone = (
        rf"\([0-9]{{2,3}}\)[ \xa0]?[0-9]{{3,4}}{few}?[0-9]{{3,5}}",
        rf"(?:\+\+?)?(?:[0-9]{{2,4}}{few})?[0-9]{{2,4}}{few}[0-9]{{3,4}}{few}?[0-9]{{3,5}}",
        r"(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}",
    )
    fraction = rf"(?:{_DIGIT}{{1,4}}{few})?{_DIGIT}{{1,4}}(?:\\?/|⁄){_DIGIT}{{1,4}}"
    return [
        (rf"([-+]?(?:{_DIGIT}*(?:[.:,\xad٫]{_DIGIT}+)+|{_DIGIT}+))", _plain),
        (r"([⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+))", _plain),
        (rf"({fraction})", _one_token),
        (rf"({_DIGIT}{{1,2}}[-/]{_DIGIT}{{1,2}}[-/]{_DIGIT}{{2,4}})", _plain),
        (r"([½¼¾⅓⅔¢£¤€₠\x80])", _of(_SIGNS)),
        (r"([A-Z]*\$)", _plain),
        (rf"({'|'.join(phone)})", _one_token),
    ]


def _stops() -> list[tuple[str, Writer]]:
    """Words that keep a stop."""
    capitals = f"(?=[A-Z])(?i:{_any(_KEPT_IN_CAPITALS)})"
    more = rf"(?i:{_any(_KEPT_WITH_STOP_AND_MORE)})|{capitals}|[Pp]ty|[Pp]tes?|(?i:ph|ed)\.[Dd]"
    starters = f"(?=[A-Z])(?i:{_any(_SENTENCE_STARTERS)})"
    return [
        (rf"((?:(?i:{_any(_KEPT_WITH_STOP)})|[Mm][ft]g)\.)", _plain),
        (rf"((?:{more})\.)[\s\S]{{2}}", _plain),
        (rf"((?i:{_any(_KEPT_BEFORE_NUMBERS)})\.)\s?[0-9]", _plain),
        (r"((?:[A-Za-z]\.)+)", _plain),
        (rf"([A-Za-z])\.\s+{starters}\s", _plain),
        (rf"((?:(?:{_LETTER}|{_DIGIT})+\.)+(?i:{_any(_FILES)}))[\s.?!,]", _plain),
        (rf"((?:{_WORD}|{_HYPHENED}|{_JOINED}|{_FIRM})\.)[,;:、]", _entities),
    ]


def _compounds() -> list[tuple[str, Writer]]:
    return [
        (rf"({_HYPHENED})", _plain),
        (rf"({_SLASHED})", _plain),
        (rf"({_JOINED})", _plain),
        (rf"({_FIRM})", _entities),
        (r"([Cc]\+\+|[CcFf]#)", _plain),
        (r"((?i:-[lr][rcs]b-))", _plain),
    ]


def _signs() -> list[tuple[str, Writer]]:
    return [
        (r"([<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])[^A-Za-z0-9]", _one_token),  # :-)
        (r"([-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\))", _one_token),  # ^_^
        (r"(\.{3,5}|…|(?:\.[ \xa0]){2,4}\.)", _nothing),
        (r"(&(?:amp|AMP|[lL][tT]|[gG][tT]|quot|apos);)", _of(_ENTITIES)),
        (r"(&(?:mdash|ndash|MD|nbsp);)", _nothing),
        (r"(&#[0-9]+;)", _plain),
        (r"(''|``|[\x91-\x94‘’“”«»‹›‚„‛‟]{1,2})", _quotes),
        (r"([?!]+|_+|\*+|#+|<<|>>|@@+|\\\*)", _plain),
        (r"(-+)", _hyphens),
        (r"([()\[\]{}])", _of(_BRACKETS)),
        (r"([–—―\x96\x97\"'.,;:`])", _nothing),
        (r"([§%&+/<=>@\\^|~、⁄⁺⁻₊₋])", _plain),
    ]
