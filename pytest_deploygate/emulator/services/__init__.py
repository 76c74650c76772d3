"""Google APIs that functions use, each behind the interface of ``base``."""
