"""A stand-in for Firebase Cloud Messaging and Google's token endpoint, for the demo, tests and benchmarks."""
