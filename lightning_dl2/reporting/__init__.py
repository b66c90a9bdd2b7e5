"""What many runs came to: found in trees of directories, put together by their choices, told as tables and a page."""
