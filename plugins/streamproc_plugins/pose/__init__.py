"""Keypoints of people: found, smoothed over time, and what they tell."""
