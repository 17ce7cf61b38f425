"""How far the estimates of a made-up firm are from its known truth."""

from __future__ import annotations

import pandas as pd

from spc.chain.result import ChainFit

__all__ = ["recovery"]


def recovery(chain: ChainFit, truth: pd.DataFrame) -> pd.DataFrame:
    """Set the links of a fitted chain beside the truth they were made from.

    Parameters
    ----------
    chain : ChainFit
        Fitted on a made-up firm.
    truth : DataFrame
        Truth of the firm: ``kind, level, lhs, rhs, estimate``.

    Returns
    -------
    DataFrame
        One row a link: ``lhs, rhs, truth, estimate, conf_low, conf_high, share`` (estimate over truth) and
        ``covered`` (the interval contains the truth).
    """
    true = truth[(truth["kind"] == "link") & (truth["level"] == chain.level)]
    table = chain.tidy()
    links = table.loc[table["kind"] == "link", ["lhs", "rhs", "estimate", "conf_low", "conf_high"]]
    both = true[["lhs", "rhs", "estimate"]].rename(columns={"estimate": "truth"}).merge(links, on=["lhs", "rhs"])
    both["share"] = both["estimate"] / both["truth"]
    both["covered"] = both["truth"].between(both["conf_low"], both["conf_high"])
    return both
