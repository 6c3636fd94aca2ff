"""What pages share: one style, curves, and the page of a single run."""
