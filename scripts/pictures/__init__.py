"""Makes the pictures of the documentation with the software itself: `python -m scripts.pictures [NAME ...]`."""
