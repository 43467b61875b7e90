"""Made the PDF files in `documents/`, once, from texts in the public domain; needs fpdf2, which nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fpdf import FPDF

TEXTS = {
    "gettysburg": (
        "Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in "
        "Liberty, and dedicated to the proposition that all men are created equal.\n\n"
        "Now we are engaged in a great civil war, testing whether that nation, or any nation so conceived and so "
        "dedicated, can long endure. We are met on a great battle-field of that war. We have come to dedicate a "
        "portion of that field, as a final resting place for those who here gave their lives that that nation might "
        "live. It is altogether fitting and proper that we should do this.",
        "But, in a larger sense, we can not dedicate, we can not consecrate, we can not hallow this ground. The brave "
        "men, living and dead, who struggled here, have consecrated it, far above our poor power to add or detract. "
        "The world will little note, nor long remember what we say here, but it can never forget what they did here.",
    ),
    "fox_and_grapes": (
        "A hungry Fox saw some fine bunches of Grapes hanging from a vine that was trained along a high trellis, and "
        "did his best to reach them by jumping as high as he could into the air. But it was all in vain, for they "
        "were just out of reach: so he gave up trying, and walked away with an air of dignity and unconcern, "
        "remarking, I thought those Grapes were ripe, but I see now they are quite sour.",
    ),
    "sonnet_18": (
        "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\nRough winds do shake the "
        "darling buds of May,\nAnd summer's lease hath all too short a date:\nSometime too hot the eye of heaven "
        "shines,\nAnd often is his gold complexion dimm'd;\nAnd every fair from fair sometime declines,\nBy chance or "
        "nature's changing course untrimm'd;\nBut thy eternal summer shall not fade\nNor lose possession of that fair "
        "thou owest.",
    ),
    "the_raven": (
        "Once upon a midnight dreary, while I pondered, weak and weary,\nOver many a quaint and curious volume of "
        "forgotten lore,\nWhile I nodded, nearly napping, suddenly there came a tapping,\nAs of some one gently "
        "rapping, rapping at my chamber door.",
        "Ah, distinctly I remember it was in the bleak December;\nAnd each separate dying ember wrought its ghost upon "
        "the floor.\nEagerly I wished the morrow; vainly I had sought to borrow\nFrom my books surcease of sorrow, "
        "sorrow for the lost Lenore.",
    ),
    "pride_and_prejudice": (
        "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of "
        "a wife. However little known the feelings or views of such a man may be on his first entering a "
        "neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is considered "
        "the rightful property of some one or other of their daughters.",
    ),
    "blank": ("",),
}


def main() -> None:
    """Write one file a text, one page a part."""
    folder = Path(__file__).parent / "documents"
    for name, parts in TEXTS.items():
        pdf = FPDF(format="A5")
        pdf.set_font("Times", size=12)
        for part in parts:
            pdf.add_page()
            pdf.multi_cell(0, 6, part)
        pdf.set_creation_date(datetime(2026, 1, 1, tzinfo=UTC))
        pdf.output(str(folder / f"{name}.pdf"))


if __name__ == "__main__":
    main()
