"""The command ``spc``: one module a verb, no logic of its own."""

from spc.cli.app import main

__all__ = ["main"]
