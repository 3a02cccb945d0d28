"""The tabs of the detail, one file each: a function from values to text, and the widget that places it."""
