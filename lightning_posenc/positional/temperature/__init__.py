"""Queries times a number that grows with how many keys they see: attention stays as sharp."""
