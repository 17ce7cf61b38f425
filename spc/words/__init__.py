"""Every sentence of reports and figures as a named template, and one catalogue of them a language."""

from __future__ import annotations

from spc.words.catalogue import language, languages, say, speaking

__all__ = ["language", "languages", "say", "speaking"]
