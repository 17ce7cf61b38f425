"""What every table made from accounts is: rows, a summary, remarks, and a wide table for whoever holds the books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from spc.errors import UsageError
from spc.results import Note, Provenance, Shown, tidy_frame

if TYPE_CHECKING:
    from spc.accounts.ledger import CustomerAccounts

__all__ = ["AccountsTable", "accounts_of", "latest", "latest_two", "table_of"]


@dataclass(frozen=True, eq=False, repr=False)
class AccountsTable(Shown):
    """A result made from customer accounts.

    Attributes
    ----------
    kind : str
        What it is: ``"waterfall"``, ``"bridge"``, ``"whale"`` and so on.
    rows, summary, table : DataFrame
        Behind :meth:`tidy`, :meth:`glance` and :meth:`augment`.
    remarks : tuple of Note
    currency : str
    provenance : Provenance
    """

    kind: str
    rows: pd.DataFrame
    summary: pd.DataFrame
    table: pd.DataFrame
    remarks: tuple[Note, ...]
    currency: str
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Long table with the fixed columns."""
        return self.rows.copy()

    def glance(self) -> pd.DataFrame:
        """One row."""
        return self.summary.copy()

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers."""
        return self.remarks

    def augment(self) -> pd.DataFrame:
        """Wide table, one row a group, customer or step."""
        return self.table.copy()


def table_of(
    kind: str,
    accounts: CustomerAccounts,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    table: pd.DataFrame,
    remarks: Sequence[Note] = (),
    options: Mapping[str, Any] | None = None,
    seed: int | None = None,
) -> AccountsTable:
    """Bring the parts of a result together; who is concerned and how it was made come from the accounts."""
    whole = {"customers": len(set(accounts.customers)), "currency": accounts.currency, **summary}
    given = {**accounts.provenance.options, **(options or {})}
    made = Provenance.record(given, accounts.provenance.data_fingerprint, seed)
    frame = tidy_frame(list(rows))
    return AccountsTable(kind, frame, pd.DataFrame([whole]), table, tuple(remarks), accounts.currency, made)


def accounts_of(given: Any) -> CustomerAccounts:
    """Accounts, or those of whatever :func:`customer_accounts` takes."""
    from spc.accounts.ledger import CustomerAccounts, customer_accounts

    return given if isinstance(given, CustomerAccounts) else customer_accounts(given)


def latest(accounts: CustomerAccounts, period: str | None) -> str:
    """The period, or the latest one when None."""
    return accounts.all_periods[-1] if period is None else period


def latest_two(accounts: CustomerAccounts, before: str | None, after: str | None) -> tuple[str, str]:
    """Two periods to compare: those given, else the latest two.

    Raises
    ------
    UsageError
        There are not two periods, or one that is named is not there.
    """
    have = accounts.all_periods
    unknown = [p for p in (before, after) if p is not None and p not in have]
    if unknown:
        raise UsageError(f"There is no period {unknown[0]!r}; there are {', '.join(have)}.")
    if after is None:
        after = have[-1]
    earlier = [p for p in have if p < after]
    if before is None and not earlier:
        raise UsageError(f"Two periods are compared, and there is nothing before {after}; periods: {', '.join(have)}.")
    before = earlier[-1] if before is None else before
    if before == after:
        raise UsageError(f"Two periods are compared, and both are {after}.")
    return before, after
