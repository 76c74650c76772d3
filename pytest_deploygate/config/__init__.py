"""Settings of ``[tool.deploygate]``: read, held to their schema, and turned into values."""
