"""The dictionary: words every room uses. Imports nothing of the other rooms."""
