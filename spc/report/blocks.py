"""What a report is made of: a tree of frozen blocks, each of them fed by released values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from spc.disclosure import ReleasedModel, ReleasedTable, require_released
from spc.errors import UnsupportedError, UsageError
from spc.files import write_all
from spc.plot import Figure
from spc.report.words import notes_in_words
from spc.results import Note

__all__ = [
    "Block",
    "Column",
    "FactsBlock",
    "FigureBlock",
    "ListBlock",
    "NotesBlock",
    "Prose",
    "Report",
    "Section",
    "StatsBlock",
    "TableBlock",
]

HIDDEN = "hidden"
_WEIGHT = {"serious": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text; ``tone`` is how it is set."""

    text: str
    tone: Literal["plain", "lead", "caution", "small", "heading"] = "plain"
    kind: str = "prose"


@dataclass(frozen=True)
class ListBlock:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: str = "list"


@dataclass(frozen=True)
class StatsBlock:
    """Few figures set large: each a label, a value and a detail."""

    items: tuple[tuple[str, str, str], ...]
    kind: str = "stats"


@dataclass(frozen=True)
class FactsBlock:
    """Terms and what they are, as a table of two columns."""

    caption: str
    pairs: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    header : str
    text : callable
        From a row (anything with the columns as attributes) to what is printed.
    numeric : bool
        Set flush right.
    source : str
        Column of the released table the text comes from; where it was hidden the cell says so.
    """

    header: str
    text: Callable[[Any], str]
    numeric: bool = False
    source: str = ""


@dataclass(frozen=True, eq=False)
class TableBlock:
    """A released table with a caption.

    Attributes
    ----------
    released : ReleasedTable
    caption : str
    columns : tuple of Column
        The first one heads the rows.
    rows : sequence of int, optional
        Which rows, in which order; all when None.
    note : str
        Printed below.
    folded : bool
        Shown on request; on paper always.

    Raises
    ------
    UsageError
        ``released`` has not passed the gate.
    """

    released: ReleasedTable
    caption: str
    columns: tuple[Column, ...]
    rows: Sequence[int] | None = None
    note: str = ""
    folded: bool = False
    kind: str = "table"

    def __post_init__(self) -> None:
        require_released(self.released, ReleasedTable, "a table of the report")

    def cells(self) -> list[list[str]]:
        """What is printed, row by row."""
        frame, withheld = self.released.frame, self.released.withheld
        order = range(len(frame)) if self.rows is None else self.rows
        rows = list(frame.itertuples(index=False))
        return [
            [HIDDEN if c.source and bool(withheld[c.source].iloc[i]) else c.text(rows[i]) for c in self.columns]
            for i in order
        ]


@dataclass(frozen=True, eq=False)
class FigureBlock:
    """A figure with a caption.

    Raises
    ------
    UsageError
        ``figure`` was not drawn from released tables by :mod:`spc.plot`.
    """

    figure: Figure
    caption: str
    wide: bool = False
    kind: str = "figure"

    def __post_init__(self) -> None:
        if type(self.figure) is not Figure:
            raise UsageError(f"A figure of the report is made by spc.plot, found a {type(self.figure).__name__}.")


@dataclass(frozen=True, eq=False)
class NotesBlock:
    """The notes of results, serious ones first."""

    models: tuple[ReleasedModel, ...]
    kind: str = "notes"

    def __post_init__(self) -> None:
        for model in self.models:
            require_released(model, ReleasedModel, "the notes of the report")

    def notes(self) -> list[Note]:
        """Each note once, constructs by their names in words, serious first, else in the order of the results."""
        every = dict.fromkeys(note for model in self.models for note in notes_in_words(model))
        return sorted(every, key=lambda note: _WEIGHT[note.severity])


Block = Prose | ListBlock | StatsBlock | FactsBlock | TableBlock | FigureBlock | NotesBlock


@dataclass(frozen=True, eq=False)
class Section:
    """Blocks under a heading; ``anchor`` is its id in the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """A report as a tree of blocks.

    Attributes
    ----------
    title, subtitle : str
    sections : tuple of Section
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]

    @property
    def headline(self) -> str:
        """The one sentence the report opens with."""
        leads = (b.text for s in self.sections for b in s.blocks if isinstance(b, Prose) and b.tone == "lead")
        return next(leads, "")

    def html(self) -> str:
        """The whole page, in one text that needs nothing else."""
        from spc.report.render import render_html

        return render_html(self)

    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write the page.

        Parameters
        ----------
        path : str or Path
            Ends in ``.html``.
        force : bool
            Replace a file that is there.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        UnsupportedError
            Another ending.
        UsageError
            The file is there already, is a folder, or cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() not in {".html", ".htm"}:
            raise UnsupportedError(
                f"A report cannot be written as {target.suffix or target.name!r}; name a file that ends in .html."
            )
        if target.is_dir():
            raise UsageError(f"{target} is a folder. Name a file that ends in .html.")
        return write_all(target.parent, {target.name: self.html()}, force=force)[0]
