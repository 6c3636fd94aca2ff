"""Sources and the answers to them: of a task, or of texts."""
