"""Why a number is what it is: the chain of formulas behind it."""
