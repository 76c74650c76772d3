"""Adapters that reach the platform: Cloud Functions and Cloud Run through the official clients."""
