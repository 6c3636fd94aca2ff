"""What is there? Every encoding, sampler, scaling and task, found out and listed."""
