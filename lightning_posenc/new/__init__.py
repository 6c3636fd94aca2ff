"""What does a class of one's own begin with? Files to start from."""
