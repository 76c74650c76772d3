"""Telemetry: a log of JSON lines, four metrics, Prometheus, OpenTelemetry."""
