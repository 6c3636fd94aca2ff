"""`report --diff`: two runs or checkpoints side by side."""
