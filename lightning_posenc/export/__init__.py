"""A trained model for others to use: a folder of Hugging Face's, safetensors, or ONNX."""
