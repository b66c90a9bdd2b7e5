"""Generate the sequence tasks: palindromes, Baum-Sweet, combinations."""
