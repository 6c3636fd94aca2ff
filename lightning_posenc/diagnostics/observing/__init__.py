"""What happens in a forward pass: attention and the residual stream of anybody's model."""
