"""The synchronous, deterministic part of the runtime: no clock, no threads, no files, no network in here."""
