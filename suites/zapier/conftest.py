"""A function that takes no URLs is not asked to fetch any."""

from suites.support.profile import profile

collect_ignore = [] if profile().url_fields else ["test_urls.py", "test_refused_urls.py"]
