"""What each file format's bytes tell before a decoder sees them. Nothing here decodes pixels."""
