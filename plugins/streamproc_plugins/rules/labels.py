"""Labels that rules name, and whether a track ever had them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streamproc_plugins.rules.options import RuleOptions, RulesOptions
from streamproc_plugins.rules.sights import Sight


class LabelsSeen:
    """Notes which labels came, beside those that the rules name."""

    def __init__(self, options: RulesOptions) -> None:
        named: dict[str, Mapping[str, RuleOptions]] = {
            "zone": options.zones,
            "line": options.lines,
            "stationary": options.stationary,
            "left_objects": options.left_objects,
            "wrong_way": options.wrong_way,
            "speed": options.speed,
        }
        self._named = {f"{kind} {name}": rule.labels for kind, rules in named.items() for name, rule in rules.items()}
        self._came: set[str] = set()

    def add(self, seen: list[Sight]) -> None:
        """Take the confirmed tracks of a frame."""
        self._came.update(sight.label for sight in seen)

    def remarks(self) -> Iterator[str]:
        """One sentence for each set of labels that never came, with the rules that name them."""
        missing: dict[str, list[str]] = {}
        for rule, labels in self._named.items():
            if absent := [label for label in labels if label not in self._came]:
                missing.setdefault(" or ".join(absent), []).append(rule)
        came = ", ".join(sorted(self._came)) or "none"
        for absent_labels, rules in missing.items():
            names = f"{', '.join(rules)} {'name' if len(rules) > 1 else 'names'}"
            yield f"no track had the label {absent_labels}, which {names}; labels that came: {came}"
