"""Pure measurements, one idea a file."""
