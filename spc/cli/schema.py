"""``spc schema NAME``."""

from __future__ import annotations

from typing import Annotated

import typer

from spc.cli.app import app
from spc.cli.options import Json


@app.command(rich_help_panel="Begin")
def schema(
    name: Annotated[str | None, typer.Argument(help="Name of a table, or 'study'; all names when left out.")] = None,
    json: Json = False,
) -> None:
    """Print what a table (or the study document) must look like."""
    from spc.cli import show
    from spc.contracts import schema_names, schema_text

    if name is None:
        if json:
            show.as_json({"schemas": schema_names()})
            return
        show.say("\n".join(schema_names()))
        return
    text = schema_text(name)
    if json:
        import yaml

        show.as_json({"name": name, "schema": yaml.safe_load(text)})
    else:
        print(text, end="")
