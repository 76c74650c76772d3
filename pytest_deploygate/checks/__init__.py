"""What suites call: accuracy of records, HTTP probe, contracts, sheet reader, Zapier's calls, platform figures."""
