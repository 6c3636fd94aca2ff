"""The pages that the package makes of its classes and quantities, kept while nothing changes."""

from cache import ROOT, Contents, kept

from lightning_posenc.catalogue.pages.site import pages

RECORDED = ("docs/encodings.md", "docs/mixers.md", "benchmarks/results/length_generalization.json")


def generated() -> Contents:
    """By path below the site's folder of pages."""
    return kept("pages", [ROOT / path for path in RECORDED], lambda: dict(pages(ROOT)))
