"""Several processes: what one computes, two compute together."""
