"""A page in the browser to try a model by hand; it asks through the same scheduler as everyone.

Gradio draws it. What Gradio would fetch, send or open beyond the page's own needs is shut off in
`mount`.
"""
