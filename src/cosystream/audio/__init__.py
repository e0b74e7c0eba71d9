"""Samples, PCM and WAV."""
