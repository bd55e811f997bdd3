"""Just enough English: numbers, articles, plurals, verbs, lists. Functions of text."""

from __future__ import annotations

from collections.abc import Sequence

_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_PLURALS = {
    "person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "knife": "knives",
    "sheep": "sheep", "skis": "skis", "scissors": "scissors", "foot": "feet", "wolf": "wolves", "fish": "fish",
}  # fmt: skip
_AN = "aeiou"
_NOT_AN = ("uni", "use", "eu", "one")
_PAIRS = ("skis", "scissors")


def number(count: int) -> str:
    """Words up to twelve, digits above.

    >>> number(3), number(40)
    ('three', '40')
    """
    return _NUMBERS[count] if 0 <= count < len(_NUMBERS) else str(count)


def plural(noun: str) -> str:
    """More than one of it; of several words the last changes.

    >>> plural("person"), plural("wine glass"), plural("bus"), plural("baby")
    ('people', 'wine glasses', 'buses', 'babies')
    """
    head, space, last = noun.rpartition(" ")
    if last in _PLURALS:
        many = _PLURALS[last]
    elif last.endswith(("s", "x", "ch", "sh", "z")):
        many = last + "es"
    elif last.endswith("y") and last[-2:-1] not in _AN:
        many = last[:-1] + "ies"
    else:
        many = last + "s"
    return head + space + many


def article(noun: str) -> str:
    """With `a` or `an` in front.

    >>> article("umbrella"), article("uniform"), article("person"), article("scissors")
    ('an umbrella', 'a uniform', 'a person', 'a pair of scissors')
    """
    if noun.rpartition(" ")[2] in _PAIRS:
        return f"a pair of {noun}"
    low = noun.lower()
    return f"an {noun}" if low[:1] in _AN and not low.startswith(_NOT_AN) else f"a {noun}"


def counted(noun: str, count: int) -> str:
    """Number and noun.

    >>> counted("car", 1), counted("car", 2)
    ('a car', 'two cars')
    """
    return article(noun) if count == 1 else f"{number(count)} {plural(noun)}"


def verb(word: str, count: int) -> str:
    """The present tense for so many subjects; of several words the first changes.

    >>> verb("walk", 1), verb("cross", 1), verb("stand still", 2), verb("be", 1)
    ('walks', 'crosses', 'stand still', 'is')
    """
    head, space, rest = word.partition(" ")
    if head == "be":
        return ("is" if count == 1 else "are") + space + rest
    if count != 1:
        return word
    if head.endswith(("s", "x", "ch", "sh", "o")):
        return f"{head}es{space}{rest}"
    if head.endswith("y") and head[-2:-1] not in _AN:
        return f"{head[:-1]}ies{space}{rest}"
    return f"{head}s{space}{rest}"


def listed(parts: Sequence[str]) -> str:
    """One after the other.

    >>> listed(["a car"]), listed(["a car", "a dog"]), listed(["a", "b", "c"])
    ('a car', 'a car and a dog', 'a, b and c')
    """
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    return text[:1].upper() + text[1:] + "."


def lasting(seconds: float) -> str:
    """Duration, rounded as people say it.

    >>> lasting(0.6), lasting(1.2), lasting(61), lasting(200)
    ('less than a second', 'one second', 'one minute', 'three minutes')
    """
    if seconds < 1:
        return "less than a second"
    whole, unit = (round(seconds), "second") if seconds < 59.5 else (round(seconds / 60), "minute")
    return f"{number(whole)} {unit if whole == 1 else unit + 's'}"


def named(name: str) -> str:
    """The name of a zone or line in running text.

    >>> named("loading_dock"), named("zone 2")
    ('the loading dock', 'zone 2')
    """
    plain = name.replace("_", " ").replace("-", " ").strip()
    return plain if plain[-1:].isdigit() else f"the {plain}"
