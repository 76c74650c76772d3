"""Services of the operating system: time, locks, logs, signals, processes."""
