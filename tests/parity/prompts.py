"""Prompts in thirty languages and scripts."""

# language code: a question, a thing, two things
_LANGUAGES: dict[str, tuple[str, str, str]] = {
    "ar": ("ما الذي يوجد على الطاولة؟", "قطة سوداء", "كلب"),
    "bn": ("টেবিলের উপর কী আছে?", "কালো বিড়াল", "কুকুর"),
    "cs": ("Co leží na stole?", "černá kočka", "pes"),
    "da": ("Hvad ligger der på bordet?", "sort kat", "hund"),
    "de": ("Was liegt auf dem Tisch?", "schwarze Katze", "Hündin"),
    "el": ("Τι υπάρχει στο τραπέζι;", "μαύρη γάτα", "σκύλος"),
    "en": ("What's on the table, and how many are there?", "black-and-white cat", "dog's bowl"),
    "es": ("¿Qué hay sobre la mesa?", "gato negro", "perro pequeño"),
    "fa": ("روی میز چه چیزی است؟", "گربه سیاه", "سگ"),
    "fi": ("Mitä pöydällä on?", "musta kissa", "koira"),
    "fil": ("Ano ang nasa mesa?", "itim na pusa", "aso"),
    "fr": ("Qu'y a-t-il sur la table ?", "chat noir", "chien à l'arrêt"),
    "he": ("מה יש על השולחן?", "חתול שחור", "כלב"),
    "hi": ("मेज़ पर क्या है?", "काली बिल्ली", "कुत्ता"),
    "hr": ("Što je na stolu?", "crna mačka", "pas"),
    "hu": ("Mi van az asztalon?", "fekete macska", "kutya"),
    "id": ("Apa yang ada di atas meja?", "kucing hitam", "anjing"),
    "it": ("Che cosa c'è sul tavolo?", "gatto nero", "cane"),
    "ja": ("テーブルの上には何がありますか？", "黒い猫", "犬"),
    "ko": ("탁자 위에 무엇이 있나요?", "검은 고양이", "개"),
    "nl": ("Wat ligt er op de tafel?", "zwarte kat", "hond"),
    "no": ("Hva ligger på bordet?", "svart katt", "hund"),
    "pl": ("Co leży na stole?", "czarny kot", "pies"),
    "pt": ("O que há sobre a mesa?", "gato preto", "cão"),
    "ro": ("Ce se află pe masă?", "pisică neagră", "câine"),
    "ru": ("Что лежит на столе?", "чёрная кошка", "собака"),
    "sv": ("Vad ligger på bordet?", "svart katt", "hund"),
    "th": ("มีอะไรอยู่บนโต๊ะ", "แมวดำ", "สุนัข"),
    "tr": ("Masanın üzerinde ne var?", "kara kedi", "köpek"),
    "uk": ("Що лежить на столі?", "чорний кіт", "собака"),
    "vi": ("Trên bàn có gì?", "con mèo đen", "con chó"),
    "zh": ("桌子上有什么？", "黑猫", "狗"),
}

_FORMS = (
    "caption {code}",
    "describe {code}",
    "answer {code} {question}",
    "question {code} {thing}",
    "detect {thing} ; {other}",
    "segment {other}",
    "{question}",
)

PROMPTS = [
    form.format(code=code, question=question, thing=thing, other=other)
    for code, (question, thing, other) in _LANGUAGES.items()
    for form in _FORMS
]
PROMPTS += [
    "ocr",
    "",
    " two  spaces ",
    "emoji 🦩👩‍👩‍👧 and tab\there",
    "3.14 + 2,000 = ?",
    "a<b>c</b> & d",
]
