"""PaliKit runs PaliGemma and PaliGemma 2: captions, answers, text, boxes and masks."""
