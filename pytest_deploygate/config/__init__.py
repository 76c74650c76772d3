"""Settings of ``[tool.deploygate]``: reads them, checks them, and turns them into values."""
