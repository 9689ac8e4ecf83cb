"""Streams of events that go on by themselves, without a state."""
