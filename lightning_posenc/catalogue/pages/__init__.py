"""A page of Markdown for everything that has a name here: made by running it, not written down."""
