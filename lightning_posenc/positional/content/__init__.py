"""Encodings that read the tokens between a query and a key."""
