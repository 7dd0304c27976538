"""What is measured between two trainings: whether columns drifted. Numbers in, verdicts out.

May import `configs` alone.
"""
