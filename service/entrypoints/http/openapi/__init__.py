"""`/openapi.json`: what each route takes, answers and refuses, in words and examples."""
