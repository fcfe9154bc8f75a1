"""The envelope: record batches of format version 2, their codecs and what a produce may contain."""
