"""How does a person train? The commands around Lightning's Trainer."""
