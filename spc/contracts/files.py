"""Where the schemas are, in a wheel and in a checkout alike."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from spc.errors import UsageError

__all__ = ["schema_folder", "schema_names", "schema_text"]


def schema_folder() -> Path:
    """Folder of the schemas: ``spc/data_schemas`` in a wheel, ``data_schemas`` beside ``spc`` in a checkout.

    Raises
    ------
    FileNotFoundError
        The installation lacks them.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "data_schemas", package.parent / "data_schemas"):
        if (folder / "study.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no data_schemas folder in or beside {package}; install the package again")


def schema_names() -> tuple[str, ...]:
    """Names of all schemas, in alphabetical order.

    Examples
    --------
    >>> schema_names()
    ('assignments', 'costs', 'customer_responses', 'customers', 'employee_responses', 'study', 'transactions',
     'units')
    """
    return tuple(sorted(path.stem for path in schema_folder().glob("*.yaml")))


def schema_text(name: str) -> str:
    """Text of one schema, comments included.

    Raises
    ------
    UsageError
        There is no schema of that name.

    Examples
    --------
    >>> schema_text("units").splitlines()[0]
    '# The units (branches, stores, teams) and their results, one row per unit, or per unit and wave.'
    """
    names = schema_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"There is no schema {name!r}; there are {', '.join(names)}.{hint}")
    return (schema_folder() / f"{name}.yaml").read_text(encoding="utf-8")
