"""Data of images with a class each."""
