"""Words of the command line that several verbs read: ``name=number``."""

from __future__ import annotations

from collections.abc import Collection

from spc.errors import UsageError

__all__ = ["amounts", "counts"]


def amounts(given: list[str] | None, option: str, known: Collection[str] | None = None) -> dict[str, float]:
    """Read ``name=number``, once a name.

    Raises
    ------
    UsageError
        No number, a name twice, or one that is not among the known.

    Examples
    --------
    >>> amounts(["quality=+0.3", "value = 2e3"], "change")
    {'quality': 0.3, 'value': 2000.0}
    """
    found: dict[str, float] = {}
    for text in given or ():
        name, _, value = (part.strip() for part in text.rpartition("="))
        try:
            number = float(value)
        except ValueError:
            raise UsageError(f"--{option} {text}: write a name, '=', and a number, such as name=0.25.") from None
        if not name or name in found:
            raise UsageError(f"--{option} {text}: write each name once, then '=' and a number.")
        if known is not None and name not in known:
            raise UsageError(f"--{option} {text}: no --change of {name}; there are: {', '.join(known)}.")
        found[name] = number
    return found


def counts(given: list[str] | None, option: str, known: Collection[str] | None = None) -> dict[str, int]:
    """Read ``name=number`` where the numbers count something.

    Raises
    ------
    UsageError
        As for :func:`amounts`, or a number that is not whole.

    Examples
    --------
    >>> counts(["quality=3"], "ramp")
    {'quality': 3}
    """
    found = amounts(given, option, known)
    for name, number in found.items():
        if not number.is_integer():
            raise UsageError(f"--{option} {name}={number:g}: give a whole number of periods, such as {name}=2.")
    return {name: int(number) for name, number in found.items()}
