"""The command line: parses, calls the engine, and turns every error into one sentence and an exit code.

Exit codes: 0 done · 1 bug · 2 usage · 3 invalid configuration or recipe · 4 instrument or communication · 5 safety
limit or interlock · 6 aborted by the user, magnet on hold · 7 finished, but a run failed or a fit is not to be
trusted · 8 station locked · 129 or 143 ended by SIGHUP or SIGTERM, magnet on hold · 130 Ctrl-C more than once, magnet
on hold and files closed all the same.

Heavy imports (numpy, pyvisa, Qt) happen inside the commands, so that `--help` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import RemanenceError

# The matrices of a live fit are small: threads would only take the cores from the thread that measures.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Cryostat measurements that keep every row: Hall loops with a live coercive field and an honest uncertainty.",
)  # fmt: skip

Root = Annotated[Path, typer.Option("--root", help="Folder under which runs are kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, in SI units.")]
Speed = Annotated[
    float | None,
    typer.Option("--speed", min=1e-3, help="Laboratory seconds per real second; as fast as possible if absent."),
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the simulated laboratory's noise.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"remanence {version('remanence')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Cryostat measurements that keep every row."""
    context.obj = debug


@app.command()
def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Stay in the terminal even where there is a display.")
    ] = False,
    speed: Speed = None,
    json: Json = False,
    seed: Seed = None,
    root: Root = Path("remanence-demo"),
    max_field: Annotated[str, typer.Option(help="Largest field of the loop.")] = "7 T",
    rate: Annotated[str, typer.Option(help="Sweep rate.")] = "2 mT/s",
    no_ahe: Annotated[
        bool, typer.Option("--no-ahe", help="Switch the anomalous Hall effect off: nothing to find.")
    ] = False,
) -> None:
    """Measure the paper's sample at 5 K on the simulated cryostat: ±7 T at 2 mT/s, six hours in seconds.

    Examples:
      remanence demo

      remanence demo --headless --json

      remanence demo --max-field "1 T" --speed 600
    """
    from .demo import run_demo

    _exit(
        run_demo(
            headless=headless,
            speed=speed,
            json=json,
            seed=seed,
            root=root,
            max_field=max_field,
            rate=rate,
            no_ahe=no_ahe,
        )
    )


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    station: Annotated[
        Path | None, typer.Option(help="The station file; the reference rig if absent with --simulate.")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Run on the station's simulated twin.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help='Override a parameter: --set max_field="2 T".')
    ] = None,
    note: Annotated[str, typer.Option(help="A note kept with the run.")] = "",
    speed: Speed = None,
    json: Json = False,
    seed: Seed = None,
    root: Root = Path("remanence-runs"),
) -> None:
    """Run a recipe on a station, or with --simulate on the station's simulated twin.

    Examples:
      remanence run hall.toml --station station.toml

      remanence run hall.toml --simulate

      remanence run hall.toml --simulate --set max_field="2 T" --note "after anneal"
    """
    from .run import run_recipe

    _exit(
        run_recipe(
            recipe, station=station, simulate=simulate, overrides=set_ or [], note=note, speed=speed, json=json,
            seed=seed, root=root,
        )
    )  # fmt: skip


@app.command()
def check(
    station: Annotated[Path, typer.Argument(help="The station file.")],
    recipe: Annotated[Path | None, typer.Argument(help="A recipe that is to run there.")] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="Look at the station's simulated twin.")] = False,
    json: Json = False,
    root: Root = Path("remanence-runs"),
) -> None:
    """Tell whether a run could start: who answers, what the magnet may do, who else drives it. Moves nothing.

    Examples:
      remanence check station.toml

      remanence check station.toml hall.toml

      remanence check station.toml --simulate --json
    """
    from .check import check_station

    _exit(check_station(station, recipe, simulate=simulate, json=json, root=root))


@app.command()
def simulate(
    station: Annotated[Path | None, typer.Argument(help="The station file; the reference rig if absent.")] = None,
    bench: Annotated[
        str | None,
        typer.Option(help="A bench that ships with remanence: paper, oxford, ami, quantum-design or everything."),
    ] = None,
    speed: Annotated[float, typer.Option(min=1e-3, help="Laboratory seconds per real second.")] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65000, help="First TCP port; 0 takes free ones.")] = 0,
    own_ports: Annotated[
        bool, typer.Option("--own-ports", help="Each instrument on the TCP port of its resource in the station file.")
    ] = False,
    seed: Seed = None,
    faults: Annotated[Path | None, typer.Option(help="A TOML file of faults that are to happen.")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for each instrument, then serve.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Tell which instruments can be simulated, and end.")] = False,
) -> None:
    """Serve the station's simulated instruments on TCP sockets, for any program that speaks VISA.

    Examples:
      remanence simulate

      remanence simulate station.toml --speed 60 --faults bad_night.toml

      remanence simulate --bench everything --port 5025 --json
    """
    from .simulate import list_panels, serve_station

    if list_:
        _exit(list_panels(json=json))
        return
    if station is not None and bench is not None:
        raise typer.BadParameter("give a station file or --bench, not both")
    _exit(
        serve_station(
            station,
            bench_name=bench,
            speed=speed,
            port=port,
            own_ports=own_ports,
            seed=seed,
            faults=faults,
            json=json,
        )
    )


@app.command()
def analyze(
    files: Annotated[
        list[Path], typer.Argument(help="Runs, also interrupted ones; Quantum Design .dat; MicroMag loops.")
    ],
    method: Annotated[
        str, typer.Option(help="hall, magnetisation, temperature, two-band, single-band; auto looks what there is.")
    ] = "auto",
    json: Json = False,
    figure: Annotated[bool, typer.Option(help="Draw what was found, beside its numbers.")] = True,
    out: Annotated[Path | None, typer.Option(help="Keep results here, not beside the data.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help='What only you know: --option area_m2="25 ± 0.5 mm^2".')
    ] = None,
    format_: Annotated[list[str] | None, typer.Option("--format", help="Figures also as pdf or svg.")] = None,
) -> None:
    """Find the numbers in a run or in another maker's file, with what they are worth, and say why if there are none.

    Examples:
      remanence analyze remanence-demo/reference/2026/01/0198...

      remanence analyze film.dat --option area_m2="25 ± 0.5 mm^2" --format pdf

      remanence analyze loop.hys film.dat --json --out results
    """
    from .analyze import analyze_files

    _exit(
        analyze_files(
            files,
            json=json,
            figure=figure,
            method=method,
            out=out,
            options=option or [],
            formats=format_ or [],
        )
    )


@app.command()
def magnet(
    station: Annotated[Path, typer.Argument(help="The station file.")],
    act: Annotated[
        str | None, typer.Argument(help="acknowledge, clear-quench or declare-coil; only look if absent.")
    ] = None,
    magnet: Annotated[str | None, typer.Option(help="Which magnet, where the station has several.")] = None,
    by: Annotated[str, typer.Option(help="Your name, for the magnet's journal.")] = "",
    reason: Annotated[str, typer.Option(help="Why a quench may be cleared.")] = "",
    field: Annotated[str, typer.Option(help='The field that the coil keeps: --field "2.0 T".')] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    simulate: Annotated[bool, typer.Option("--simulate", help="Look at the station's simulated twin.")] = False,
    json: Json = False,
) -> None:
    """Show a magnet and what is on record of it, or say what only a person may say about it.

    Examples:
      remanence magnet station.toml

      remanence magnet station.toml clear-quench --by "Ada" --reason "helium was low, refilled"

      remanence magnet station.toml declare-coil --by "Ada" --field "2.0 T" --magnet magnet_z
    """
    from .magnet import run_magnet

    _exit(
        run_magnet(
            station, act, magnet=magnet, person=by, reason=reason, field=field, simulate=simulate, yes=yes, json=json
        )
    )


@app.command(hidden=True)
def guardian() -> None:
    """Hold a magnet when the engine that started this process dies. Started by a station, with its charge on stdin."""
    from ..engine.guardian import serve

    _exit(serve(sys.stdin.buffer, sys.stdout))


station_app = typer.Typer(no_args_is_help=True, help="Make a station file.", rich_markup_mode=None)
app.add_typer(station_app, name="station")


@station_app.callback()
def station_options() -> None:
    """Make a station file."""


@station_app.command("init")
def station_init(
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("station.toml"),
    resources: Annotated[
        list[str] | None, typer.Option(help="A VISA resource to ask; all that VISA lists if absent. May be repeated.")
    ] = None,
    visa_library: Annotated[str, typer.Option(help="@py for PyVISA-py, @ivi for NI's or Keysight's.")] = "@py",
) -> None:
    """Ask every instrument who it is, and propose a station file. Moves nothing.

    Examples:
      remanence station init

      remanence station init --output rig.toml --visa-library @ivi

      remanence station init --resources GPIB0::8::INSTR --resources TCPIP0::192.168.1.12::7777::SOCKET
    """
    from .station_init import init_station

    _exit(init_station(output, resources or [], visa_library=visa_library))


def _exit(code: int) -> None:
    if code:
        raise typer.Exit(code)


def explain(error: RemanenceError) -> str:
    """An error as lines: what, where, what state the hardware is in, what to do."""
    lines = [f"error[{error.code}] {error.what}"]
    lines += [f"  {part}" for part in (error.where, error.state, error.do) if part]
    return "\n".join(lines)


def main() -> None:
    """Entry point of the `remanence` command."""
    # A Windows console may not be UTF-8; a µ that it cannot show must not end a run.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        app()
    except RemanenceError as error:
        if "--debug" in sys.argv:
            raise
        print(explain(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        print(f"error[E000] a bug in remanence: {type(error).__name__}: {error}", file=sys.stderr)
        print(f"  The traceback is in {_keep_traceback()}; nothing is moved by this program now.", file=sys.stderr)
        sys.exit(RemanenceError.exit_code)


def _keep_traceback() -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="remanence-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(traceback.format_exc())
    return file.name


if __name__ == "__main__":
    main()
