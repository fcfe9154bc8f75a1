"""The engine room: the event loop, threads, real files, real time; it drives the steppable broker."""
