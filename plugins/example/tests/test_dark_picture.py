"""What DarkPicture promises."""

from dark_picture import DarkPicture
from streamproc import Registry
from streamproc.testing import check_plugin_contract, make_frame, make_frames, run_plugin


def test_a_dark_frame_gives_an_event_and_a_bright_one_does_not() -> None:
    run = run_plugin(DarkPicture, [make_frame(fill=10), make_frame(fill=200)], limit=40)
    assert run.types == ["dark_picture.seen"]
    assert run.events[0].data["level"] == 10


def test_it_holds_to_the_contract_of_its_kind() -> None:
    check_plugin_contract(DarkPicture, make_frames(6))


def test_streamproc_finds_it_by_its_name() -> None:
    assert Registry().plugin("dark_picture") is DarkPicture
