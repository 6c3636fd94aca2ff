"""What a test gave, as pictures and tables."""
