"""What can be reached without order: exact, or bounded from above."""
