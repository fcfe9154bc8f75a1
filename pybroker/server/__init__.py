"""The door: sockets, frames, backpressure, and the HTTP responder for health and metrics."""
