"""The command `sweep`: run a sweep in W&B's format on this machine, with no server."""
