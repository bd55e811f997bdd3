"""The commands of `streamproc`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamproc.cli import scoring
from streamproc.cli.console import LogFormat, LogLevel
from streamproc.cli.groups import ModelsGroup, OpenGroup, TrainGroup
from streamproc.cli.scaffold import PackageKind, make_package

app = typer.Typer(
    cls=OpenGroup,
    name="streamproc",
    help="Turns video into events: cameras, files and Kafka topics in, events out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(
    cls=ModelsGroup, help="List, fetch, add and verify models.", no_args_is_help=True, rich_markup_mode=None
)
train_app = typer.Typer(
    cls=TrainGroup, help="Train a net on data of your own.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(models_app, name="models")
app.add_typer(scoring.app, name="eval")
app.add_typer(train_app, name="train")

ConfigFile = Annotated[Path, typer.Argument(help="configuration file", show_default=False)]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="set a value, such as streams.dock.rate=5")
]
Format = Annotated[
    LogFormat, typer.Option("--log-format", help="how log lines are written; json leaves out progress and summary")
]
Level = Annotated[LogLevel, typer.Option("--log-level", help="from which level on log lines are written")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="no progress and no summary")]
MetricsPort = Annotated[int | None, typer.Option("--metrics-port", min=0, max=65535, help="serve Prometheus metrics")]
MetricsHost = Annotated[str, typer.Option("--metrics-host", help="address to serve metrics on")]
Report = Annotated[Path | None, typer.Option("--report", help="write an HTML report of the run here")]
ReportConfig = Annotated[bool, typer.Option("--report-config", help="with the configuration in the report")]


def _version(wanted: bool) -> None:
    if wanted:
        from streamproc import __version__
        from streamproc.cli.console import out

        out(f"streamproc {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="say the version")
    ] = False,
) -> None:
    """Turns video into events."""


@app.command()
def run(  # noqa: PLR0913, PLR0917 - one parameter an option
    config: ConfigFile,
    overrides: Overrides = None,
    metrics_port: MetricsPort = None,
    metrics_host: MetricsHost = "127.0.0.1",
    report: Report = None,
    report_config: ReportConfig = False,
    log_format: Format = LogFormat.text,
    log_level: Level = LogLevel.warning,
    quiet: Quiet = False,
) -> None:
    """Run a configuration until its sources end, or until SIGINT, SIGTERM or SIGHUP."""
    from streamproc.cli.console import set_up_logging
    from streamproc.cli.running import RunSettings, leave, run_plan
    from streamproc.config import load

    set_up_logging(log_format, log_level)
    plan = load(config, overrides=overrides or ())
    address = None if metrics_port is None else (metrics_host, metrics_port)
    # log lines that a program reads aren't mixed with tables for people
    hushed = quiet or log_format is LogFormat.json
    leave(run_plan(plan, RunSettings(report=report, report_config=report_config, metrics=address, quiet=hushed)))


@app.command()
def check(config: ConfigFile, overrides: Overrides = None) -> None:
    """Check a configuration: every mistake at once, with its place. Opens nothing."""
    from streamproc.cli.console import out, say
    from streamproc.config import load

    plan = load(config, overrides=overrides or ())
    for warning in plan.warnings:
        say(f"warning: {warning}")
    for stream in plan.streams:
        chain = " -> ".join(entry.name for entry in stream.chain) or "no plugins"
        out(f"{stream.name}: {chain} -> {', '.join(stream.sinks) or 'no sinks'}")
    out("the configuration is right")


@app.command()
def demo(
    source: Annotated[str | None, typer.Argument(help="a file, camera index, folder or RTSP address")] = None,
    folder: Annotated[Path, typer.Option("--out", help="where the results go")] = Path("out/demo"),
    quiet: Quiet = False,
) -> None:
    """Detection, tracking, a zone and a line on a clip: events, an annotated video and a report."""
    from streamproc.cli.console import set_up_logging
    from streamproc.cli.demo import run_demo
    from streamproc.cli.running import leave

    set_up_logging(LogFormat.text, LogLevel.warning)
    leave(run_demo(source, folder, quiet=quiet))


@app.command("try")
def try_plugin(  # noqa: PLR0913, PLR0917 - one parameter an option
    plugin: Annotated[str, typer.Argument(help="module:Class, or the name of an installed plugin")],
    clip: Annotated[str, typer.Argument(help="a file, camera index, folder or RTSP address")],
    options: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="set an option of the plugin")
    ] = None,
    front: Annotated[
        list[str] | None, typer.Option("--with", metavar="PLUGIN", help="a plugin to run in front of it")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="processed frames per second of media time")] = None,
    frames: Annotated[int, typer.Option("--frames", min=1, help="end after so many processed frames")] = 300,
    folder: Annotated[Path, typer.Option("--out", help="where the picture goes")] = Path("out/try"),
) -> None:
    """Run one plugin on a clip, without a configuration: what it gives as a table, and a picture of it.

    Plugins that it needs run in front of it. The run ends at the plugin's first error.
    """
    from streamproc.cli.console import set_up_logging
    from streamproc.cli.running import leave
    from streamproc.cli.trying import Trial, run_trial

    set_up_logging(LogFormat.text, LogLevel.error)
    trial = Trial(
        plugin=plugin,
        clip=clip,
        options=options or (),
        front=front or (),
        rate=rate,
        frames=frames,
        folder=folder,
    )
    leave(run_trial(trial))


@app.command()
def probe(
    source: Annotated[str, typer.Argument(help="a file, address, camera index or device, folder or pattern")],
) -> None:
    """Show what a source holds: codec, size, rate, time stamps and their faults, keyframes, rotation."""
    from streamproc.cli.probing import show_probe

    show_probe(source)


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="config or event")] = "config",
) -> None:
    """Print the JSON Schema of configuration files (for editors) or of events."""
    from streamproc.cli.listing import print_schema

    print_schema(what)


@app.command()
def plugins(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME | new NAME]", help="explain one, or make one")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--into", help="for new: the folder to make the package in")] = None,
    kind: Annotated[PackageKind, typer.Option("--kind", help="for new: what the package holds")] = PackageKind.frame,
) -> None:
    """List what is installed; explain one plugin, source or sink; `new NAME` makes a tested package from a template."""
    from streamproc.cli.listing import explain, list_installed

    match words or []:
        case []:
            list_installed()
        case ["new", name]:
            make_package(name, folder, kind)
        case ["new"]:
            raise typer.BadParameter("new needs a name, such as: streamproc plugins new dark-picture")
        case [name]:
            explain(name)
        case _:
            raise typer.BadParameter("takes one name, or: new NAME")


@app.command()
def events(  # noqa: PLR0913, PLR0917 - one parameter an option
    database: Annotated[Path, typer.Argument(help="database that a sqlite sink wrote")],
    text: Annotated[str, typer.Option("--text", help="words that occur in the event")] = "",
    stream: Annotated[str, typer.Option("--stream", help="of this stream")] = "",
    kind: Annotated[str, typer.Option("--type", help="type such as zone.entered, or its beginning")] = "",
    label: Annotated[str, typer.Option("--label", help="with this label")] = "",
    zone: Annotated[str, typer.Option("--zone", help="of this zone or line")] = "",
    from_s: Annotated[float | None, typer.Option("--from", help="media seconds, at the earliest")] = None,
    to_s: Annotated[float | None, typer.Option("--to", help="media seconds, at the latest")] = None,
    since: Annotated[str, typer.Option("--since", help="local time (or with an offset), at the earliest")] = "",
    until: Annotated[str, typer.Option("--until", help="local time (or with an offset), before")] = "",
    last: Annotated[str, typer.Option("--last", help="of the last 2h, 30min, 7d ...")] = "",
    oldest: Annotated[bool, typer.Option("--oldest", help="the oldest first")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="at most so many")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="whole events, one JSON object a line")] = False,
    pictures: Annotated[Path | None, typer.Option("--pictures", help="write the thumbnails into this folder")] = None,
) -> None:
    """Search the events that a sqlite sink wrote; the newest come first, in local time."""
    from streamproc.cli.searching import show_events
    from streamproc.eventstore import Query

    query = Query(
        text=text,
        stream=stream,
        type=kind,
        label=label,
        zone=zone,
        from_s=from_s,
        to_s=to_s,
        since=since,
        until=until,
        limit=limit,
        oldest_first=oldest,
    )
    show_events(database, query, last=last, as_json=as_json, pictures=pictures)


@app.command()
def repro(
    bundle: Annotated[Path, typer.Argument(help="a bundle that a failing plugin left")],
    modules: Annotated[
        list[str] | None, typer.Option("--module", help="a module of yours that it may import, such as dark")
    ] = None,
) -> None:
    """Run the call again at which a plugin failed. Exit code 0: it fails in the same way; 1: it doesn't."""
    from streamproc.cli.listing import show_replay

    raise typer.Exit(show_replay(bundle, modules or ()))


@models_app.command("list")
def models_list(task: Annotated[str, typer.Option("--task", help="only for this task")] = "") -> None:
    """List the models and where each one is."""
    from streamproc.cli.modelling import list_all

    list_all(task)


@models_app.command("pull")
def models_pull(names: Annotated[list[str], typer.Argument(help="names from the list")]) -> None:
    """Make sure that models are on this machine, with a progress bar."""
    from streamproc.cli.modelling import pull_all

    pull_all(names)


@models_app.command("add")
def models_add(folder: Annotated[Path, typer.Argument(help="folder with a model.json")]) -> None:
    """Take a model of your own into the store."""
    from streamproc.cli.modelling import add_one

    add_one(folder)


@models_app.command("verify")
def models_verify(
    names: Annotated[list[str] | None, typer.Argument(help="names (default: all that are here)")] = None,
) -> None:
    """Compare every file with its checksum."""
    from streamproc.cli.modelling import verify_all

    raise typer.Exit(verify_all(names or []))
