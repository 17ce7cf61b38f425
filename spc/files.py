"""Write files, all of them or none, and never over somebody's work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from spc.errors import UsageError

__all__ = ["refuse_to_overwrite", "write_all"]


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


def write_all(folder: Path, texts: Mapping[str, str], *, force: bool = False) -> list[Path]:
    """Write texts into a folder: first beside their names, then put in place one after the other.

    Parameters
    ----------
    folder : Path
        Made when it does not exist.
    texts : mapping of str to str
        File name to text.
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
            draft.write_text(text, encoding="utf-8", newline="\n")
        for draft, target in zip(drafts, targets, strict=True):
            draft.replace(target)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}. Choose another folder.") from error
    finally:
        if folder.is_dir():
            for draft in drafts:
                draft.unlink(missing_ok=True)
    return targets
