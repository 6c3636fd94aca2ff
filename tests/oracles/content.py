"""What reads the tokens between a query and a key."""
