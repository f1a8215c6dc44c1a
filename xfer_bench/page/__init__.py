"""The report: one HTML file of a results folder, with everything in it and nothing fetched.

What it says is computed elsewhere (`stats`, `report`, `plotting`); these modules arrange it.
"""
