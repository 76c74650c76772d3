"""What people and CI read: terminal, JUnit XML, log, metrics."""
