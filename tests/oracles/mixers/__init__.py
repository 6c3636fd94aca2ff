"""Every mixer, transcribed from its paper's equation in float64: a double loop over tokens."""
