"""Whether assignments of customers to those who serve them hang together over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, examples, make_finding
from spc.contracts.values import key_text
from spc.errors import Finding

__all__ = ["check_assignments"]

TABLE = "assignments"
TOLERANCE = 0.005
_FAR = 10**8
"""Days from 1970 that stand for an open end."""
IntArray = npt.NDArray[np.int64]


def check_assignments(
    tables: Mapping[str, pd.DataFrame], *, line_offsets: Mapping[str, RowNumbers] = MappingProxyType({})
) -> list[Finding]:
    """Find assignments that overlap, days on which nobody serves, shares that do not add up, and who is never served.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By canonical name, with canonical columns and types; without ``assignments`` nothing is found.
    line_offsets : mapping of str to int or array of int
        Line of the first row in each file, or the line of every row; 2 where absent.

    Examples
    --------
    >>> table = pd.DataFrame({"customer": ["C1", "C1"], "unit": ["Oslo", "Rome"],
    ...                       "from": ["2026-01-01", "2026-03-01"], "to": ["2026-01-31", None]})
    >>> for finding in check_assignments({"assignments": table}):
    ...     print(finding.rule, finding.found, finding.rows)
    assignment_gap 1 of 1 customers without anybody between two assignments: 'C1' (3,)
    """
    frame = tables.get(TABLE)
    if frame is None or "customer" not in frame or not {"unit", "respondent"} & set(frame):
        return []
    offset = line_offsets.get(TABLE, 2)
    code, names = pd.factorize(key_text(frame["customer"]))
    first, last = _day(frame, "from", -_FAR), _day(frame, "to", _FAR)
    sound = (code >= 0) & (first <= last)
    place = np.flatnonzero(sound)
    customers = np.asarray(names, dtype=object)
    return [
        *_overlaps(frame, code, first, last, place, offset),
        *_over_time(frame, code, first, last, place, customers, offset),
        *_unserved(tables, set(customers), line_offsets),
    ]


def _day(frame: pd.DataFrame, column: str, blank: int) -> IntArray:
    """Days since 1970; an open end where there is none that can be read."""
    if column not in frame:
        return np.full(len(frame), blank)
    days = pd.to_datetime(frame[column], errors="coerce").to_numpy().astype("datetime64[D]")
    return np.where(np.isnat(days), blank, days.astype(np.int64))


def _overlaps(
    frame: pd.DataFrame, code: npt.NDArray[np.intp], first: IntArray, last: IntArray, place: npt.NDArray[np.intp],
    offset: RowNumbers,
) -> Iterator[Finding]:  # fmt: skip
    servers = [name for name in ("respondent", "unit") if name in frame]
    rows = pd.DataFrame({"customer": code, **{name: pd.factorize(frame[name])[0] for name in servers}})
    rows = rows.assign(first=first, last=last).iloc[place].sort_values(["first", "last"], kind="stable")
    by = [rows[name] for name in ("customer", *servers)]
    before = rows.groupby(["customer", *servers], sort=False)["last"].cummax().groupby(by, sort=False).shift()
    mask = np.zeros(len(frame), dtype=bool)
    mask[rows.index[(rows["first"] <= before).to_numpy(dtype=bool)]] = True
    if mask.any():
        yield make_finding(
            "overlapping_assignment",
            TABLE,
            "from",
            f"{mask.sum()} rows within the time of another row of the same customer and {' and '.join(servers)}",
            "one row for one time",
            "Days that both name count once where the weights are alike, else the weights are added.",
            mask=mask,
            line_offset=offset,
            severity="warning",
        )


def _over_time(
    frame: pd.DataFrame, code: npt.NDArray[np.intp], first: IntArray, last: IntArray, place: npt.NDArray[np.intp],
    customers: npt.NDArray[np.object_], offset: RowNumbers,
) -> Iterator[Finding]:  # fmt: skip
    weight = (
        pd.to_numeric(frame["weight"], errors="coerce").to_numpy(float)
        if "weight" in frame
        else np.full(len(frame), np.nan)
    )
    changes = pd.DataFrame({
        "customer": np.tile(code[place], 2), "day": np.concatenate([first[place], last[place] + 1]),
        "weight": np.concatenate([weight[place], -weight[place]]), "number": np.repeat([1, -1], place.size),
    }).groupby(["customer", "day"], as_index=False)[["weight", "number"]].sum()  # fmt: skip
    in_force = changes.groupby("customer")[["weight", "number"]].cumsum()
    final = ~changes["customer"].duplicated(keep="last")
    idle = ((in_force["number"] == 0) & ~final).to_numpy()
    if idle.any():
        bare = changes.loc[idle, "customer"].unique()
        after = changes["day"].shift(-1)[idle].to_numpy(dtype=np.int64)
        starts = set(zip(changes.loc[idle, "customer"], after, strict=True))
        mask = np.array([pair in starts for pair in zip(code.tolist(), first.tolist(), strict=True)], dtype=bool)
        yield make_finding(
            "assignment_gap",
            TABLE,
            "from",
            f"{len(bare)} of {len(customers)} customers without anybody between two assignments: "
            f"{examples(customers[bare])}",
            "somebody on every day from the first assignment to the last",
            "Those days count for nobody; add the assignment if there was one.",
            mask=mask,
            line_offset=offset,
            severity="warning",
        )
    sums = in_force["weight"].to_numpy()
    busy = (in_force["number"] > 0).to_numpy()
    if np.isnan(weight).any() or not len(weight) or weight.max() > 1.0:
        return
    odd = busy & (np.abs(sums - 1.0) > TOLERANCE)
    if odd.any():
        who = changes.loc[odd, "customer"].unique()
        worst = sums[odd][np.abs(sums[odd] - 1.0).argmax()]
        yield make_finding(
            "share_sum",
            TABLE,
            "weight",
            f"shares of {len(who)} of {len(customers)} customers that add up to something else, such as {worst:.3g}: "
            f"{examples(customers[who])}",
            "shares of one customer at one time that add up to 1",
            "They are taken in proportion to each other; correct them if a row is missing or there twice.",
            mask=np.isin(code, who),
            line_offset=offset,
            severity="warning",
        )


def _unserved(
    tables: Mapping[str, pd.DataFrame], served: set[str], line_offsets: Mapping[str, RowNumbers]
) -> Iterator[Finding]:
    answers = tables.get("customer_responses")
    if answers is None or "customer" not in answers:
        return
    texts = key_text(answers["customer"])
    mask = (texts.notna() & ~texts.isin(served)).to_numpy(dtype=bool)
    if mask.any():
        number = texts[mask].nunique()
        yield make_finding(
            "unserved_customer",
            "customer_responses",
            "customer",
            f"{number} of {texts.nunique()} customers to whom nobody is assigned: {examples(texts[mask])}",
            "an assignment for every customer who answered",
            "They count for the unit in their own row, or are left out where it has none.",
            mask=mask,
            line_offset=line_offsets.get("customer_responses", 2),
            severity="warning",
        )
