"""Words of captions as COCO's evaluation splits them: the Penn Treebank tokeniser of Stanford CoreNLP, in Python.

COCO's caption server runs CoreNLP 3.4.1 (`-preserveLines -lowerCase`) and leaves out a fixed list of punctuation. The
rules here follow what that tokeniser answers for words, numbers, fractions, clitics, abbreviations and symbols. At each
place the longest rule wins, as in the lexer that it is made with.
"""

from __future__ import annotations

import re
from functools import lru_cache

PUNCTUATION = frozenset({"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"})
"""what COCO leaves out; it lists brackets in capitals, so that in lower case they stay"""

_APOSTROPHE = "['\u2019\x92]"
_LETTER = r"[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be\u2150-\u218f]"
_SIGN = rf"(?:{_LETTER}|\d)"
_WORD = rf"{_LETTER}{_SIGN}*(?:[.!?]{_LETTER}{_SIGN}*)*"

# abbreviations keep their full stop; these in small letters too
_ABBREVIATIONS = (
    "adj|adm|adv|al|ala|alex|apr|ariz|assn|assoc|asst|atty|aug|ave|bancorp|bhd|bldg|blvd|brig|bros|calif|capt|cf|cie|cmdr|"
    "co|col|colo|comdr|conn|corp|cos|cpl|ct|dak|dec|dept|det|dr|drs|elec|ens|esq|est|etc|ext|feb|fla|fri|ft|ga|gen|gov|"
    "govs|hon|inc|ind|insp|intl|invt|jan|jos|jr|jul|jun|kan|kans|ky|lieut|lt|ltd|maj|mar|md|messrs|mfg|mich|minn|mlle|mme|"
    "mo|mon|mont|mr|mrs|ms|msgr|mt|mtg|natl|neb|nev|nov|oct|okla|penn|pfc|ph|plc|ppte|ppty|pres|prof|pte|ptes|pty|ptys|"
    "pvt|rd|rep|reps|rev|rt|sen|sens|sep|sept|seq|sfc|sgt|spc|sq|sr|st|ste|supt|sys|tel|tenn|thu|thur|thurs|tue|tues|univ|"
    "va|vs|vt|wed|wis|wisc|wm|wyo"
)
_WITH_CAPITAL = "Ark|Az|Del|Ill|La|Mass|Miss|Ore|Pa|Tex|Wash"
_BEFORE_NUMBERS = "art|ca|figs?|nos?|pp?"

# the second group of each is what must follow; it counts for the length but is read again
_RULES = [
    re.compile(pattern)
    for pattern in (
        r"(</?[A-Za-z!][^\s<>=/]*(?: [^\s<>=/]+)?/?>)",
        r"((?i:https?://[^\s<>\"|()]*[^\s<>\"|().,!?;:]|www\.(?:[^\W_][\w-]*\.)+[a-z]{2,4}(?:/[^\s<>\"|()]*)?))",
        r"([A-Za-z0-9][\w.-]*@[A-Za-z0-9](?:[\w.-]*\w)?)",
        r"([@#][A-Za-z_]\w*)",
        r"(\d{1,2}[-/]\d{1,2}[-/]\d{2,4})",
        r"((?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|\u2044)\d{1,4})",
        r"(\(\d{2,3}\)[ \u00a0]?\d{3,4}[- \u00a0]?\d{3,5}|\d{2,4}[- \u00a0]\d{3,4}[- \u00a0]\d{3,5})",
        r"([-+]?(?:\d*(?:[.:,]\d+)+|\d+))",
        rf"({_LETTER}(?:{_SIGN}|[.,])*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|{_SIGN}+))+)",
        rf"(\d(?:{_SIGN}|[.,])*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|{_SIGN}+))+)",
        r"([A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2})",
        r"([A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)",
        r"([Cc]\+\+|[CcFf]#)",
        r"((?i:can))((?i:not)(?!\w))",
        r"((?i:gon|got|wan))((?i:na|ta)(?!\w))",
        r"((?i:gim|lem))((?i:me)(?!\w))",
        rf"({_WORD})",
        rf"({_WORD}\.)([,;:])",
        rf"(\d+{_LETTER}{_SIGN}*)",
        rf"({_SIGN}+(?:_{_SIGN}+)+)",
        rf"([A-Za-z]{_SIGN}*?)((?i:n{_APOSTROPHE}t)(?!{_LETTER}))",
        rf"({_WORD})({_APOSTROPHE}(?i:[msd]|re|ve|ll)(?!{_LETTER}))",
        rf"((?i:n{_APOSTROPHE}t)(?!{_LETTER}))",
        rf"({_APOSTROPHE}(?i:[msd]|re|ve|ll)(?!{_LETTER}))",
        rf"([dDoOlL]{_APOSTROPHE}[^\W\d_]{{2,}}(?:-{_SIGN}+)*)",
        rf"((?i:ma{_APOSTROPHE}am|[neo]{_APOSTROPHE}er|ne{_APOSTROPHE}er|hawai{_APOSTROPHE}i|c{_APOSTROPHE}mon|"
        rf"cap{_APOSTROPHE}n|nat{_APOSTROPHE}l|somethin{_APOSTROPHE}|dunkin{_APOSTROPHE}|ol{_APOSTROPHE}))",
        rf"({_APOSTROPHE}n{_APOSTROPHE}|{_APOSTROPHE}(?:n|em|till?|cause|[2-9]0s)(?!{_LETTER}|\d))",
        rf"({_APOSTROPHE}\d\d(?![\w:'\"\u2019]))",
        rf"([dDjJlL]{_APOSTROPHE}(?!{_LETTER})|[jJ]{_APOSTROPHE}|[yY]{_APOSTROPHE}(?={_LETTER}))",
        rf"({_APOSTROPHE}[tT])((?i:is|was)(?!{_LETTER}))",
        rf"((?i:{_ABBREVIATIONS})\.)",
        rf"((?:{_WITH_CAPITAL}|{_WITH_CAPITAL.upper()})\.)",
        rf"((?i:{_BEFORE_NUMBERS})\.)([ \u00a0]?\d)",
        r"((?i:ph\.d|e\.g|i\.e|[a-z](?:\.[a-z])*)\.)",
        r"([A-Za-z](?:\.[A-Za-z])+\.(?:-[A-Za-z0-9]+)+)",
        r"([A-Z]{1,2}\$)",
        r"([<>]?[:;=][-o*']?(?:[()\\{@|\[\]]|[DPdpO](?!\w))|\^_\^)",
        r"([!?]+|@+|#+|_+|\*+|\.{3,}|-+)",
        r"(&(?i:amp|lt|gt|quot|nbsp);)",
        r"(``|'')",
    )
]
_OWN_FORM = {
    "(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-", '"': "''", "\u201c": "``",
    "\u201d": "''", "\u00ab": "``", "\u00bb": "''", "\u2018": "`", "\u2019": "'", "\u201b": "`", "\u2039": "`",
    "\u203a": "'", "\u2026": "...", "\u2013": "--", "\u2014": "--", "\u2015": "--", "\u00ad": "-", "\u00bd": "1/2",
    "\u00bc": "1/4", "\u00be": "3/4", "\u2153": "1/3", "\u2154": "2/3", "\u20ac": "$", "\u00a4": "$", "\u00a3": "#",
    "\u00a2": "cents", "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": "''", "&nbsp;": "",
}  # fmt: skip
_PLAIN = re.compile(r"[a-z]+(?=[\s]|$)|[a-z]+(?=[,;:]?(?:\s|$))|[a-z]{5,}(?=\.$)")
_SPECIAL = frozenset({"cannot", "gonna", "gotta", "wanna", "gimme", "lemme"})
_SPACE = re.compile(r"[\s\u200b-\u200f\ufeff]+")
_STARTS_SENTENCE = re.compile(r"[ \u00a0](?:A|After|An|As|At|But|He|Her|His|If|In|It|On|She|That|The|Then|There|They"
                              r"|This|We|When|You)\b")  # fmt: skip
_DASHES = 4
"""as many hyphens are a dash at most; more are a line, and stay"""


def tokens(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without COCO's punctuation."""
    text = sentence.replace("\n", " ")
    found: list[str] = []
    at = 0
    while at < len(text):
        if space := _SPACE.match(text, at):
            at = space.end()
            continue
        word, at = _next(text, at)
        form = _form(word)
        if form and form not in PUNCTUATION:
            found.append(form)
    return found


def _next(text: str, at: int) -> tuple[str, int]:
    """The token that begins here, and where the next one may."""
    plain = _PLAIN.match(text, at)
    if plain and plain.group() not in _SPECIAL:
        return plain.group(), plain.end()
    longest, best = 0, None
    for rule in _RULES:
        match = rule.match(text, at)
        if match is not None and match.end() - at > longest:
            longest, best = match.end() - at, match
    if best is None:
        return text[at], at + 1
    word = best.group(1)
    if len(word) == 2 and word[1] == "." and _STARTS_SENTENCE.match(text, at + 2):
        word = word[0]  # a letter that ends a sentence is no initial
    return word, at + len(word)


@lru_cache(maxsize=65536)
def _form(word: str) -> str:
    if word in _OWN_FORM:
        return _OWN_FORM[word]
    if len(word) == 1 and word > "\uffff":
        return ""  # pictographs are no tokens
    if word.startswith("--") and set(word) == {"-"} and len(word) <= _DASHES:
        return "--"
    if len(word) > len("...") and set(word) == {"."}:
        return "..."
    lower = word.lower().replace("\u2019", "'").replace(" ", "\u00a0").replace("&amp;", "&")
    return lower.replace("(", "-lrb-").replace(")", "-rrb-")


__all__ = ["PUNCTUATION", "tokens"]
