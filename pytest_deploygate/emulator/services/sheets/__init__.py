"""The Sheets v4 values API."""
