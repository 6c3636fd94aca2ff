"""Several seeds of one small model, trained as one: `together.py` is the whole of it."""
