"""What the emulator keeps: state, uploaded sources, secrets."""
