"""Who may call: API keys, what each allows, and secrets that lie in files."""
