"""Google's REST APIs as the emulator answers them, and its own side endpoints."""
