"""Write several files, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spc.errors import UsageError

__all__ = ["write_all"]


def write_all(folder: Path, texts: Mapping[str, str], force: bool = False) -> Path:
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
    Path
        The folder.

    Raises
    ------
    UsageError
        A file is there already, or the folder cannot be written.
    """
    there = [name for name in texts if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            f"{folder} already holds {', '.join(there)}; nothing was written. Choose another folder, or force."
        )
    drafts = {name: folder / f".{name}.draft" for name in texts}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            drafts[name].write_text(text, encoding="utf-8", newline="\n")
        for name, draft in drafts.items():
            draft.replace(folder / name)
    except OSError as error:
        for draft in drafts.values():
            if folder.is_dir():
                draft.unlink(missing_ok=True)
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}. Choose another folder.") from error
    return folder
