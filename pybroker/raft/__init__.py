"""The council: who leads, and which records of the metadata log are committed. No I/O of its own."""
