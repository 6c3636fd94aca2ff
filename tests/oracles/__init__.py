"""What every encoding adds, transcribed from its equation in float64, pair by pair.

Plain loops over numpy arrays; no line is shared with the package.
"""
