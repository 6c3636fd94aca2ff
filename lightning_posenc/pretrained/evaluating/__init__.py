"""What a model of Hugging Face can do: losses by place and length, retrieval, shifts."""
