"""What the operating system gives: processes and their identity."""
