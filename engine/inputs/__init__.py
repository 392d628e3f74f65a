"""From stored pictures to the arrays that a network sees."""
