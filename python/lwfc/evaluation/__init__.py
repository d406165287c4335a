"""Rate against what a task loses: studies, codecs, measured points, intervals, choices, pages."""
