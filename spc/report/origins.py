"""Where the numbers of a report come from: data, seed, time and programs."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from spc.disclosure import ReleasedModel
from spc.report.material import Material
from spc.words import say

__all__ = ["KINDS", "origins", "software"]

_SOFTWARE = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn")
KINDS = ("study", "chain", "refit", "evidence", "drivers", "whale", "bridge", "accounts", "loyalty", "levers")


def origins(material: Material) -> list[tuple[str, str]]:
    """Data, seed and time of each result, and the versions of what computed them."""
    facts = [(_kind(model.kind), text) for model in material.models if (text := _origin(model))]
    return [*dict.fromkeys(facts), (say("method.software"), software())]


def _kind(kind: str) -> str:
    return say("method.origin", kind=say(f"method.kind.{kind}") if kind in KINDS else kind)


def software() -> str:
    """Names and versions of the programs behind the numbers."""
    names = [f"{name} {_version(name)}" for name in ("service-profit-chain", *_SOFTWARE)]
    return say("list.comma").join([*names, f"Python {platform.python_version()}"])


def _origin(model: ReleasedModel) -> str:
    given = model.facts
    if not given.get("package_version"):
        return ""
    seed = say("method.seed_none") if given.get("seed") is None else given["seed"]
    return f"{given['data_fingerprint']}, {seed}, {given['time']}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return say("method.not_installed")
