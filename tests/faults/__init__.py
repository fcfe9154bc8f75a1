"""Real processes under kill -9, full disks, missing descriptors and hostile clients."""
