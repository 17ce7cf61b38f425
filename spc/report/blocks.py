"""What a report is made of: a tree of frozen blocks of plain text and numbers, fed by released values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from spc.disclosure import Gate, ReleasedModel, ReleasedTable, require_released
from spc.errors import UsageError
from spc.files import write_all
from spc.plot import Figure
from spc.report.words import notes_in_words
from spc.results import Note
from spc.words import say

__all__ = [
    "Block",
    "Column",
    "EquationsBlock",
    "FactsBlock",
    "FigureBlock",
    "FindingBlock",
    "Head",
    "ListBlock",
    "Look",
    "NotesBlock",
    "Prose",
    "Report",
    "ScenarioBlock",
    "Section",
    "StatsBlock",
    "TableBlock",
    "table",
]

_WEIGHT = {"serious": 0, "warning": 1, "info": 2}
Values = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Prose:
    """A paragraph of plain text; ``tone`` is how it is set."""

    text: str
    tone: Literal["plain", "lead", "caution", "small", "heading", "code"] = "plain"
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
    folded: bool = False
    kind: str = "facts"


@dataclass(frozen=True)
class FindingBlock:
    """One finding: what it is about, a word on how far it may be leant on, one sentence, and its caveats.

    Attributes
    ----------
    title, text : str
    mark : str
        The word; empty when the sentence says it.
    strength : {"strong", "fair", "weak", "none"}
        How it is set.
    caveats : tuple of str
        What a reader must know beside it; every weak finding has some.
    method : str
        How it was found, for speakers.
    """

    title: str
    text: str
    mark: str = ""
    strength: Literal["strong", "fair", "weak", "none"] = "fair"
    caveats: tuple[str, ...] = ()
    method: str = ""
    kind: str = "finding"


@dataclass(frozen=True)
class EquationsBlock:
    """Equations as rows: a MathML element, what it is for readers, and the same in plain letters."""

    caption: str
    rows: tuple[tuple[str, str, str], ...]
    kind: str = "equations"


@dataclass(frozen=True)
class Column:
    """How a column of a table is written.

    Attributes
    ----------
    header : str
    text : callable
        From a row (anything with the columns as attributes) to what is printed.
    numeric : bool
        Set flush right.
    source : str
        Column of the released table the text comes from; where it was hidden the cell says so, and where it holds
        numbers the cell keeps its number for exports.
    value : callable, optional
        From a row to the number for exports, where it stands in another row of the released tables.
    """

    header: str
    text: Callable[[Any], str]
    numeric: bool = False
    source: str = ""
    value: Callable[[Any], float | None] | None = None


@dataclass(frozen=True)
class Head:
    """Heading of a column as printed."""

    header: str
    numeric: bool = False


@dataclass(frozen=True, eq=False)
class TableBlock:
    """A table with a caption, as it is printed.

    Attributes
    ----------
    released : ReleasedTable
        Where it comes from.
    caption : str
    columns : tuple of Head
        The first one heads the rows.
    cells : tuple of tuples of str
        What is printed, row by row.
    values : tuple of tuples
        The number behind each cell that has one.
    note : str
        Printed below.
    folded : bool
        Shown on request; on paper always.

    Raises
    ------
    UsageError
        ``released`` has not passed the gate.
    """

    released: ReleasedTable = field(repr=False)
    caption: str
    columns: tuple[Head, ...]
    cells: tuple[tuple[str, ...], ...]
    values: Values = field(default=(), repr=False)
    note: str = ""
    folded: bool = False
    kind: str = "table"

    def __post_init__(self) -> None:
        require_released(self.released, ReleasedTable, "a table of the report")


def table(
    released: ReleasedTable,
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[int] | None = None,
    *,
    note: str = "",
    folded: bool = False,
) -> TableBlock:
    """Print a released table.

    Parameters
    ----------
    rows : sequence of int, optional
        Which rows, in which order; all when None.
    """
    frame = require_released(released, ReleasedTable, "a table of the report").frame
    withheld = released.withheld
    order = range(len(frame)) if rows is None else rows
    records = list(frame.itertuples(index=False))
    cells = tuple(
        tuple(
            say("table.hidden") if c.source and bool(withheld[c.source].iloc[i]) else c.text(records[i])
            for c in columns
        )
        for i in order
    )
    values = tuple(tuple(_value(records[i], c) for c in columns) for i in order)
    heads = tuple(Head(c.header, c.numeric) for c in columns)
    return TableBlock(released, caption, heads, cells, values, note, folded)


def _value(record: Any, column: Column) -> float | None:
    found = column.value(record) if column.value else getattr(record, column.source, None) if column.source else None
    return float(found) if isinstance(found, int | float) and not math.isnan(found) else None


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
class ScenarioBlock:
    """Levers that a reader moves, computed in the page from released draws; a table beside it serves paper.

    Attributes
    ----------
    released : ReleasedTable
        The draws.
    data : mapping
        What the script needs, as JSON knows it; draws are packed.
    words : mapping of str to str
        Everything the script says.

    Raises
    ------
    UsageError
        The draws have not passed the gate.
    """

    released: ReleasedTable = field(repr=False)
    data: dict[str, Any] = field(repr=False)
    words: dict[str, str] = field(repr=False)
    kind: str = "scenario"

    def __post_init__(self) -> None:
        require_released(self.released, ReleasedTable, "the scenarios of the report")


@dataclass(frozen=True, eq=False)
class NotesBlock:
    """The notes of results, serious ones first."""

    models: tuple[ReleasedModel, ...] = field(repr=False)
    notes: tuple[Note, ...] = ()
    kind: str = "notes"

    def __post_init__(self) -> None:
        for model in self.models:
            require_released(model, ReleasedModel, "the notes of the report")

    @classmethod
    def of(cls, models: tuple[ReleasedModel, ...]) -> NotesBlock:
        """Each note once, constructs by their names in words, serious first, else in the order of the results."""
        for model in models:
            require_released(model, ReleasedModel, "the notes of the report")
        every = dict.fromkeys(note for model in models for note in notes_in_words(model))
        return cls(models, tuple(sorted(every, key=lambda note: _WEIGHT[note.severity])))


Block = (
    Prose | ListBlock | StatsBlock | FactsBlock | FindingBlock | EquationsBlock | TableBlock | FigureBlock
    | ScenarioBlock | NotesBlock
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Section:
    """Blocks under a heading; ``anchor`` is its id in the page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Look:
    """How the pages are dressed.

    Attributes
    ----------
    accent, accent_dark : str
        Colour of links and marks on light and on dark pages, ``#rrggbb``; the house's own when empty.
    logo : str
        A picture as a ``data:`` address; none when empty.
    """

    accent: str = ""
    accent_dark: str = ""
    logo: str = ""


@dataclass(frozen=True, eq=False)
class Report:
    """A report as a tree of blocks.

    Attributes
    ----------
    title, subtitle : str
    sections : tuple of Section
    language : str
        Of every text in it.
    look : Look
    gate : Gate or None
        Through which everything in it has come.
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    language: str = "en"
    look: Look = field(default_factory=Look)
    gate: Gate | None = field(default=None, repr=False, compare=False)

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
        """Write the report in the format that the file's ending names.

        ``NAME_confidentiality.csv`` beside it says what was hidden and why.

        Parameters
        ----------
        path : str or Path
            Ends in ``.html``, ``.pdf`` (extra ``[pdf]``), ``.pptx`` (extra ``[slides]``) or ``.xlsx`` (extra
            ``[excel]``).
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
        MissingExtraError
            The format needs an extra that is not installed.
        UsageError
            The file is there already, is a folder, or cannot be written.
        """
        from spc.report.formats import targets, written

        target, hidden = targets(Path(path), force=force)
        files: dict[str, str | bytes] = {target.name: written(self, target)}
        if self.gate is not None:
            files[hidden.name] = str(self.gate.audit())
            self.gate.remember()  # first: no report may be out that the next one does not know of
        return write_all(target.parent, files, force=force)[0]
