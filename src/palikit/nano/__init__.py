"""The built-in model: a very small PaliGemma 2, trained here on scenes that are drawn here.

It exists so that the first command on a fresh machine does the whole job, and so that everything
can be tried and tested without access to the released weights. It knows coloured shapes, a few
pictograms and printed capitals on drawn backgrounds, and nothing else: for real pictures take a
released checkpoint or fine-tune.

    shapes, lettering, backgrounds -> scenes -> lessons -> pretraining -> training -> evaluation
"""
