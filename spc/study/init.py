"""A study to start from: a commented document and small example tables."""

from __future__ import annotations

from pathlib import Path

from spc.errors import UsageError
from spc.files import write_all
from spc.study.template import TEMPLATE
from spc.synthetic import make_firm
from spc.synthetic.document import FILES

__all__ = ["init_study"]


def init_study(folder: str | Path, force: bool = False) -> Path:
    """Write a commented ``study.toml`` and small example tables to begin with.

    Parameters
    ----------
    folder : str or Path
        Made when it does not exist.
    force : bool
        Write over files of the same name.

    Returns
    -------
    Path
        The document.

    Raises
    ------
    UsageError
        A file is there already, and nothing is written; or the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     init_study(folder).name
    'study.toml'
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give the name of a folder.")
    firm = make_firm(seed=1, units=40, employees=12, customers=20, accounts=20)
    texts = {FILES[table]: frame.to_csv(index=False) for table, frame in firm.tables.items()}
    write_all(folder, {**texts, "study.toml": TEMPLATE}, force=force)
    return folder / "study.toml"
