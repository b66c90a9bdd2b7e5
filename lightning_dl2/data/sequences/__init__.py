"""Sequence tasks, drawn at random: palindromes, Baum-Sweet, combinations."""
