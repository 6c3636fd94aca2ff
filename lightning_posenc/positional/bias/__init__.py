"""Encodings that add to the logits."""
