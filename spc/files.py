"""Write files, all of them or none, and never over somebody's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from spc.errors import UsageError

__all__ = ["refuse_to_overwrite", "safe_cell", "write_all"]

_FORMULA = ("=", "{=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def safe_cell(value: object) -> object:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe before it.

    Spaces and marks that a spreadsheet passes over do not hide the beginning. Numbers stay numbers.

    Examples
    --------
    >>> safe_cell("=1+1"), safe_cell("  @sum"), safe_cell("Bergen"), safe_cell(-3)
    ("'=1+1", "'  @sum", 'Bergen', -3)
    """
    begins = isinstance(value, str) and value.lstrip(" \u00a0\u200b\ufeff\x00").startswith(_FORMULA)
    return f"'{value}" if begins else value


def refuse_to_overwrite(paths: Iterable[Path], *, force: bool) -> None:
    """Stop before anything is computed or written if a file is already there.

    Raises
    ------
    UsageError
        Names the files that are there.
    """
    there = [path for path in paths if path.exists()]
    if there and not force:
        listed = ", ".join(str(path) for path in there)
        raise UsageError(f"There already: {listed}. Nothing was written. Choose another place, or add --force.")


def write_all(folder: Path, texts: Mapping[str, str | bytes], *, force: bool = False) -> list[Path]:
    """Write texts into a folder: first beside their names, then put in place one after the other.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    texts : mapping of str to str or bytes
        File name to what it holds.
    force : bool
        Write over files that are there.

    Returns
    -------
    list of Path
        The files, in the order given.

    Raises
    ------
    UsageError
        A file is there already, or the folder cannot be written; nothing has been changed then.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> [path.name for path in write_all(folder, {"a.txt": "one", "b.txt": "two"})]
    ['a.txt', 'b.txt']
    """
    folder = Path(folder)
    targets = [folder / name for name in texts]
    refuse_to_overwrite(targets, force=force)
    drafts = [folder / f".{name}.draft" for name in texts]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for draft, text in zip(drafts, texts.values(), strict=True):
            draft.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        for draft, target in zip(drafts, targets, strict=True):
            draft.replace(target)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}. Choose another folder.") from error
    finally:
        if folder.is_dir():
            for draft in drafts:
                draft.unlink(missing_ok=True)
    return targets
