"""What a falling loss does not tell."""
