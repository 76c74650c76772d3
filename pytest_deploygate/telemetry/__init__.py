"""Records for machines: a log of JSON lines, the four metrics, Prometheus, OpenTelemetry."""
