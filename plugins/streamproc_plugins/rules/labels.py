"""Labels that rules name, and whether a track ever had them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streamproc_plugins.rules.observations import Observation
from streamproc_plugins.rules.options import RuleOptions, RulesOptions


class LabelCheck:
    """Collects the labels of all tracks, to compare them with the labels that the rules name."""

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
        self._observed: set[str] = set()

    def add(self, observed: list[Observation]) -> None:
        """Take the confirmed tracks of a frame."""
        self._observed.update(observation.label for observation in observed)

    def remarks(self) -> Iterator[str]:
        """One sentence for each set of labels without a track, with the rules that name them."""
        missing: dict[str, list[str]] = {}
        for rule, labels in self._named.items():
            if absent := [label for label in labels if label not in self._observed]:
                missing.setdefault(" or ".join(absent), []).append(rule)
        names_observed = ", ".join(sorted(self._observed)) or "none"
        for absent_labels, rules in missing.items():
            names = f"{', '.join(rules)} {'name' if len(rules) > 1 else 'names'}"
            yield f"no track had the label {absent_labels}, which {names}; labels found: {names_observed}"
