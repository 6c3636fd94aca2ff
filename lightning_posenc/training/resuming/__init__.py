"""What lets a stopped run go on as if it had never stopped."""
