"""Models that the world has: read from Hugging Face, examined, extended, saved."""
