"""Pure measurements, one idea a file.

They give tensors, one number each or one for each head or token, on the device of what they measure
and without a graph: who asks for many waits once, when he takes them all over.
"""
