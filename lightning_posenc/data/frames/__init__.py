"""Audio and what is said in it: tones that are drawn, or recordings."""
