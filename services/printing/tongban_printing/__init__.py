"""The printing service makes documents of results and prints each print order once."""
