"""The components of the document-processing example: real PDF files, real sentiment, an archive that is really busy."""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

from openagents_json import Context, NonRetryableError, agent, capability, tool

WRITE_SECONDS = 0.15
"""How long the archive is busy with one report."""


@agent("document_processor", version="1.0.0")
class DocumentProcessor:
    """Works with documents."""

    @capability("extract_text", effect="pure")
    def extract_text(self, document: str, context: Context) -> dict[str, Any]:
        """Read the text of all pages of a PDF file."""
        from pypdf import PdfReader
        from pypdf.errors import PdfReadError

        try:
            reader = PdfReader(document)
            pages = []
            for page in reader.pages:
                context.heartbeat()
                pages.append(page.extract_text())
        except FileNotFoundError as error:
            raise NonRetryableError(f"there is no document {document}") from error
        except PdfReadError as error:
            raise NonRetryableError(
                f"{document} is not a PDF file that can be read: {error}"
            ) from error
        text = "\n".join(pages).strip()
        return {"text": text, "pages": len(pages), "words": len(text.split())}

    @capability("report", effect="pure")
    def report(
        self,
        document: str,
        sentiment: dict[str, Any] | None,
        statistics: dict[str, Any],
    ) -> dict[str, Any]:
        """Put together what was found out."""
        return {
            "document": Path(document).stem,
            "sentiment": sentiment,
            "statistics": statistics,
        }


@agent("text_analyzer", version="1.0.0")
class TextAnalyzer:
    """Looks at texts; the lexicon is loaded once for each instance."""

    def __init__(self) -> None:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

        self._analyzer = SentimentIntensityAnalyzer()

    @capability("sentiment", effect="pure")
    def sentiment(self, text: str) -> dict[str, Any]:
        """Return the sentiment of a text: a compound score from -1 to 1, and a word for it."""
        score = self._analyzer.polarity_scores(text)["compound"]
        label = (
            "positive" if score >= 0.05 else "negative" if score <= -0.05 else "neutral"
        )
        return {"score": score, "label": label}

    @capability("statistics", effect="pure")
    def statistics(self, text: str, pages: int) -> dict[str, Any]:
        """Count words and sentences, and estimate the time to read them."""
        words = re.findall(r"[A-Za-z']+", text.lower())
        long_words = Counter(word for word in words if len(word) > 4)
        return {
            "pages": pages,
            "words": len(words),
            "sentences": len(re.findall(r"[.!?:]+(?:\s|$)", text)),
            "reading_seconds": round(len(words) / 200 * 60, 1),
            "frequent": [
                word
                for word, _ in sorted(
                    long_words.items(), key=lambda item: (-item[1], item[0])
                )[:3]
            ],
        }


class ArchiveBusy(Exception):
    """Another report is being written."""


@tool("archive.store", effect="idempotent", version="1.0.0")
def store(folder: str, report: dict[str, Any], context: Context) -> dict[str, str]:
    """Write a report into the archive, which takes one at a time; a lock older than 5 s is void."""
    base = Path(folder)
    base.mkdir(parents=True, exist_ok=True)
    target = base / f"{context.run_id}.json"
    lock = base / ".lock"
    if lock.exists() and time.time() - lock.stat().st_mtime > 5:
        lock.unlink(missing_ok=True)
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError as error:
        raise ArchiveBusy(f"the archive {folder} is writing another report") from error
    try:
        time.sleep(WRITE_SECONDS)
        target.write_text(json.dumps(report, indent=1, sort_keys=True))
    finally:
        lock.unlink(missing_ok=True)
    return {"file": target.name}
