"""The API reference, written from the contract: what stands in docs/api, with examples that a test runs."""
