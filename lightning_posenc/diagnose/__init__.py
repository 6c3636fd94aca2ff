"""The doctor: examine a model, name what ails it, say what helps."""
