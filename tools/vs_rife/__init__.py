"""The networks of vs-rife, a plugin for the same purpose, beside ours: for tools/compare_vs_rife.py."""
