"""The data plane: from a request to one revision."""
