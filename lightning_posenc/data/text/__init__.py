"""Text as data: files, Python's own documentation, datasets of the Hub; vocabularies; packing."""
