"""Compare ways of extending a trained model's context, and keep the one that is chosen."""
