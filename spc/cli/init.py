"""``spc init DIR``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Force, Json


@app.command(rich_help_panel="Begin")
def init(
    folder: Annotated[Path, typer.Argument(help="Folder for the new study.", show_default=False)],
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a commented study document and small example tables to start from."""
    from spc.cli import show
    from spc.study import init_study

    document = init_study(folder, force=force)
    if json:
        show.as_json({"study": str(document)})
        return
    show.say(f"Wrote {document} and its example tables.")
    show.say(f"Next: put your own files in their place, then  spc check {document}")
