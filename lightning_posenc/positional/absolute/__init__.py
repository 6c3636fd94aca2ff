"""Encodings that change the residual stream."""
