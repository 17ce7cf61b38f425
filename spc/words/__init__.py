"""Every sentence of reports, figures and notes as a named template, and one catalogue of them a language."""

from __future__ import annotations

from spc.words.catalogue import inside, joined, language, languages, marked, say, speaking
from spc.words.phrase import Phrase, phrase, verdict_form

__all__ = ["Phrase", "inside", "joined", "language", "languages", "marked", "phrase", "say", "speaking", "verdict_form"]
