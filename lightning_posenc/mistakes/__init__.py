"""What does a person's mistake end in? One line, with nothing lost."""
