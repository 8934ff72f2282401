"""The network: tensors in, tensors out. It sees no text, no files and no sampling."""
