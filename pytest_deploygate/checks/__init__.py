"""Library for test suites: accuracy of records, HTTP probe, contracts, file server, platform statistics."""
