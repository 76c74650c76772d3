"""Stand-ins for services that functions call."""
