"""Listeners that measure: what ``cosystream bench`` asks for, hears, and makes figures and pictures of."""
