"""What of other libraries, and of our own earlier releases, is relied on without their promise."""
