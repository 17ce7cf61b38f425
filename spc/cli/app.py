"""The command line as a whole: its verbs, and what is said when one of them fails."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

from spc.errors import SpcError, SpcWarning

__all__ = ["app", "main"]

app = typer.Typer(
    name="spc",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
OUR_FAULT, INTERRUPTED = 1, 130


def _version(asked: bool) -> None:
    if asked:
        from spc.results import package_version

        print(package_version())
        raise typer.Exit


@app.callback()
def spc(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The service-profit chain: from survey files to an honest figure in money."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave with its exit code: 0 done, 2 usage, 3 data, 4 model, 5 estimation, 1 our fault.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``spc``; those of the process when not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    warnings.simplefilter("ignore", SpcWarning)  # every one of them is also a note
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    try:
        _verbs()(words)
    except SystemExit as end:  # typer's own way out, also for words it does not know and for an interrupt
        return _interrupted() if end.code == INTERRUPTED else end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt:
        return _interrupted()
    except SpcError as error:
        _tell(error, as_json="--json" in words)
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OUR_FAULT
    except Exception as error:
        if _through_interrupt(error):
            return _interrupted()
        if "SPC_TRACEBACK" in os.environ:
            raise
        print(
            f"This is a fault of spc, not of your files: {type(error).__name__}: {error}\n"
            "Set SPC_TRACEBACK=1 and run again to see where, and please report it.",
            file=sys.stderr,
        )
        return OUR_FAULT
    return 0


def _through_interrupt(error: BaseException | None) -> bool:
    """Whether an error was raised on the way of an interrupt, as Python 3.11 does within the making of a class."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _interrupted() -> int:
    print("\nInterrupted; nothing was half written.", file=sys.stderr)
    return INTERRUPTED


def _verbs() -> typer.Typer:
    from spc.cli import init, demo, check, schema, run, report, fit, drivers, loyalty, accounts, simulate, power  # noqa: F401, I001

    return app


def _tell(error: SpcError, *, as_json: bool) -> None:
    from spc.cli import show

    if as_json:
        show.json_error(error)
    else:
        show.error(error)
