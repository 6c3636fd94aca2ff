"""Files to start from, in which `$name` and `$module` stand for those of the new class."""
