"""Panel models as model text: cross-lagged with and without stable differences, and fixed effects by likelihood.

Every variable ``v`` at wave ``k`` is a column ``v_k``. Behind it stands what is measured, ``now_v_k``, with an error
variance that is given, zero by default; behind that, where units differ for good, ``stable_v``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["column", "cross_lagged_text", "fixed_effects_text", "now", "stable"]

Errors = Mapping[tuple[str, str, int], float]
"""Variances and covariances of measurement errors of two constructs at a wave, counted from 1; absent ones are zero."""


def column(name: str, wave: int) -> str:
    """Name of the column of a construct at a wave, counted from 1."""
    return f"{name}_{wave}"


def now(name: str, wave: int) -> str:
    """Name of what is measured of a construct at a wave."""
    return f"now_{name}_{wave}"


def stable(name: str) -> str:
    """Name of what units differ in at all waves alike."""
    return f"stable_{name}"


def cross_lagged_text(
    names: Sequence[str],
    waves: int,
    *,
    lasting: Sequence[str] = (),
    equal: bool = True,
    steady: bool = False,
    errors: Errors | None = None,
) -> str:
    """Cross-lagged panel: every construct on all constructs one wave before.

    Parameters
    ----------
    names : sequence of str
    waves : int
    lasting : sequence of str
        Constructs that units differ in for good: each has a random intercept, and its links are within units.
    equal : bool
        The same coefficients from each wave to the next.
    steady : bool
        What happens anew at each wave has the same variances and covariances from the second wave on.
    errors : mapping, optional

    References
    ----------
    Hamaker, Kuiper & Grasman (2015), Psychological Methods 20, 102-116.

    Examples
    --------
    >>> print(cross_lagged_text(["a"], 2))
    `now_a_1` =~ 1*`a_1`
    `a_1` ~~ 0*`a_1`
    `now_a_2` =~ 1*`a_2`
    `a_2` ~~ 0*`a_2`
    `now_a_2` ~ lag_1_1*`now_a_1`
    """
    lines = _measured(dict.fromkeys(names, waves), errors or {})
    for k in range(2, waves + 1):
        for i, effect in enumerate(names, 1):
            mark = "" if equal else f"_{k}"
            causes = [f"lag_{i}_{j}{mark}*`{now(cause, k - 1)}`" for j, cause in enumerate(names, 1)]
            lines.append(f"`{now(effect, k)}` ~ {' + '.join(causes)}")
        for i, a in enumerate(names):
            for j, b in enumerate(names[i:], i):
                mark = f"new_{i + 1}_{j + 1}*" if steady else ""
                lines += [f"`{now(a, k)}` ~~ {mark}`{now(b, k)}`"] if steady or i != j else []
    if lasting and steady:
        lines += [f"new_{i}_{i} > 0" for i in range(1, len(names) + 1)]
    for name in lasting:
        lines += [f"`{part}` ~~ lower(0)*`{part}`" for part in (stable(name), now(name, 1))]
        lines.append(f"`{stable(name)}` =~ {' + '.join(f'1*`{column(name, k)}`' for k in range(1, waves + 1))}")
        lines += [f"`{stable(name)}` ~~ 0*`{now(other, 1)}`" for other in names]
    return "\n".join(lines)


def fixed_effects_text(
    effect: str, causes: Sequence[str], waves: int, *, steady: bool = False, errors: Errors | None = None
) -> str:
    r"""One outcome on its own and its causes' values one wave before, with fixed effects of units.

    What is constant in a unit is a latent variable that covaries with everything given; causes may answer to earlier
    outcomes, since what happens to the outcome may covary with causes of the same wave and after.

    References
    ----------
    Allison, Williams & Moral-Benito (2017), Socius 3, 1-17.

    Examples
    --------
    >>> print(fixed_effects_text("y", ["x"], 3).split("\n", 10)[-1])
    `now_y_2` ~ own*`now_y_1` + cause_1*`now_x_1`
    `now_y_3` ~ own*`now_y_2` + cause_1*`now_x_2`
    `stable_y` =~ 1*`now_y_2` + 1*`now_y_3`
    `stable_y` ~~ lower(0)*`stable_y`
    `now_y_2` ~~ `now_x_2`
    """
    last = {effect: waves} | dict.fromkeys(causes, waves - 1)
    lines = _measured(last, errors or {})
    for k in range(2, waves + 1):
        terms = [f"own*`{now(effect, k - 1)}`"]
        terms += [f"cause_{j}*`{now(cause, k - 1)}`" for j, cause in enumerate(causes, 1)]
        lines.append(f"`{now(effect, k)}` ~ {' + '.join(terms)}")
    if steady:
        lines += [f"`{now(effect, k)}` ~~ new*`{now(effect, k)}`" for k in range(2, waves + 1)]
        lines.append("new > 0")
    lines.append(f"`{stable(effect)}` =~ {' + '.join(f'1*`{now(effect, k)}`' for k in range(2, waves + 1))}")
    lines.append(f"`{stable(effect)}` ~~ lower(0)*`{stable(effect)}`")
    lines += [
        f"`{now(effect, k)}` ~~ `{now(cause, later)}`"
        for k in range(2, waves)
        for cause in causes
        for later in range(k, waves)
    ]
    return "\n".join(lines)


def _measured(last: Mapping[str, int], errors: Errors) -> list[str]:
    """What is measured at each wave, and the error it is measured with."""
    lines = []
    for name, waves in last.items():
        for k in range(1, waves + 1):
            lines.append(f"`{now(name, k)}` =~ 1*`{column(name, k)}`")
            lines.append(f"`{column(name, k)}` ~~ {errors.get((name, name, k), 0.0):.12g}*`{column(name, k)}`")
    names = list(last)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            for k in range(1, min(last[a], last[b]) + 1):
                shared = errors.get((a, b, k), errors.get((b, a, k), 0.0))
                if shared:
                    lines.append(f"`{column(a, k)}` ~~ {shared:.12g}*`{column(b, k)}`")
    return lines
