"""The list files of UCF101 and HMDB-51, and COCO's captions.

UCF101: Soomro et al., CRCV-TR-12-01, 2012. HMDB-51: Kuehne et al., ICCV 2011.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamproc_plugins.training.data import Dataset, Side, TrainingError, TrainingSample, clean_label, groups_of

_HMDB_NAME = re.compile(r"(?P<label>.+)_test_split(?P<number>\d)\.txt$")
_HMDB_SIDES: dict[str, Side] = {"1": "training", "2": "validation"}


def read_lists(videos: Path, lists: Path, number: int) -> Dataset:
    """The official split of this number: `trainlist01.txt` (UCF101) or `CLASS_test_split1.txt` (HMDB-51) in `lists`.

    videos: folder with a subfolder per class. Raises `TrainingError` where neither is there, a line can't be read, or a
    file is missing.
    """
    if (lists / f"trainlist{number:02d}.txt").is_file():
        return _checked(_ucf(videos, lists, number), videos)
    if any(_HMDB_NAME.match(path.name) for path in lists.glob("*.txt")):
        return _checked(_hmdb(videos, lists, number), videos)
    raise TrainingError(
        f"{lists} has neither trainlist{number:02d}.txt (UCF101) nor CLASS_test_split{number}.txt (HMDB-51); "
        "unpack the data set's split files there, or name another number with --split"
    )


def _ucf(videos: Path, lists: Path, number: int) -> list[TrainingSample]:
    found = []
    for name, side in (("trainlist", "training"), ("testlist", "validation")):
        path = lists / f"{name}{number:02d}.txt"
        if not path.is_file():
            raise TrainingError(f"{path} is missing; a split of UCF101 has a train list and a test list")
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            # a training line ends in the class's number, which the folder says already
            file = Path(line.split(".avi")[0].strip() + ".avi")
            if len(file.parts) != 2:
                raise TrainingError(f"{path}: {line!r}, expected CLASS/FILE.avi")
            (group,) = groups_of([Path(file.name)])
            found.append(_sample(videos / file, file.parts[0], f"{file.parts[0]}/{group}", side))
    return found


def _hmdb(videos: Path, lists: Path, number: int) -> list[TrainingSample]:
    found = []
    for path in sorted(lists.glob("*.txt")):
        match = _HMDB_NAME.match(path.name)
        if match is None or int(match["number"]) != number:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.strip():
                continue
            file, _, kind = line.strip().rpartition(" ")
            if kind not in ("0", "1", "2"):
                raise TrainingError(f"{path}: {line!r}, expected FILE.avi and 0, 1 (training) or 2 (test)")
            if kind in _HMDB_SIDES:  # 0: left out of this split
                found.append(_sample(videos / match["label"] / file.strip(), match["label"], file, _HMDB_SIDES[kind]))
    return found


def _sample(path: Path, label: str, group: str, side: Any) -> TrainingSample:
    return TrainingSample(path=path, label=clean_label(label), group=group, side=side)


def _checked(samples: list[TrainingSample], videos: Path) -> Dataset:
    if missing := [sample.path for sample in samples if not sample.path.is_file()]:
        raise TrainingError(
            f"{len(missing)} of {len(samples)} files of the lists are not in {videos}, such as {missing[0]}"
        )
    return Dataset(samples=tuple(samples), labels=tuple(sorted({sample.label for sample in samples})))


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A picture and the sentences that people wrote about it."""

    path: Path
    captions: tuple[str, ...]


def read_captions(path: Path, pictures: Path) -> tuple[Captioned, ...]:
    """Pictures with captions from COCO's caption JSON (Chen et al., arXiv 1504.00325), in the order of the file.

    Pictures without captions are left out. Raises `TrainingError` where the file is of another form or a picture is
    missing.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = {item["id"]: item["file_name"] for item in content["images"]}
        notes = [(item["image_id"], str(item["caption"]).strip()) for item in content["annotations"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path} isn't COCO's caption JSON ({error!r}); expected images with id and file_name, annotations with "
            "image_id and caption"
        ) from None
    if strange := [key for key, _ in notes if key not in names]:
        raise TrainingError(f"{path} has a caption of the picture {strange[0]!r}, which isn't among its images")
    found: dict[Any, list[str]] = {}
    for key, text in notes:
        found.setdefault(key, []).append(text)
    rows = [Captioned(path=pictures / names[key], captions=tuple(found[key])) for key in names if key in found]
    if missing := [row.path for row in rows if not row.path.is_file()]:
        raise TrainingError(f"{len(missing)} of {len(rows)} pictures are not in {pictures}, such as {missing[0]}")
    return tuple(rows)


__all__ = ["Captioned", "read_captions", "read_lists"]
