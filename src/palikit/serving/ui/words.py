"""What the page says, in English and in Chinese."""

from dataclasses import dataclass

from palikit.serving.problems import Problem

LANGUAGES = (("English", "en"), ("中文", "zh"))
"""Languages of the page: what a person reads, and the code."""

REPLY_LANGUAGES = (
    ("English", "en"),
    ("中文", "zh"),
    ("Deutsch", "de"),
    ("Español", "es"),
    ("Français", "fr"),
    ("Italiano", "it"),
    ("Português", "pt"),
    ("Русский", "ru"),
    ("日本語", "ja"),
    ("한국어", "ko"),
    ("हिन्दी", "hi"),
    ("العربية", "ar"),
)
"""Languages of replies that are offered; any other code can be typed."""


@dataclass(frozen=True)
class Words:
    """The texts of the page in one language.

    Attributes:
        failures: sentences by the kind of a problem.
        bad_picture, bad_request: what stands before the server's own sentence; "" where that is
            in the page's language.
    """

    tagline: str
    page_language: str
    picture: str
    example: str
    caption: str
    describe: str
    answer: str
    ocr: str
    detect: str
    segment: str
    free: str
    compare: str
    reply_language: str
    reply_language_info: str
    question: str
    labels: str
    labels_info: str
    prompt: str
    prompt_info: str
    ask: str
    stop: str
    text: str
    drawn: str
    boxes: str
    masks: str
    min_score: str
    download: str
    working: str
    done: str
    cut: str
    repeated: str
    nothing_found: str
    unparsed: str
    stopped: str
    no_picture: str
    no_question: str
    no_labels: str
    no_prompt: str
    gone: str
    loading: str
    model: str
    nano: str
    no_masks: str
    no_second: str
    failures: tuple[tuple[str, str], ...]
    bad_picture: str
    bad_request: str


_ENGLISH = Words(
    tagline="Ask PaliGemma about a picture",
    page_language="Language of this page",
    picture="Picture: upload, paste or camera",
    example="Example",
    caption="Caption",
    describe="Describe",
    answer="Question",
    ocr="OCR",
    detect="Detect",
    segment="Segment",
    free="Free prompt",
    compare="Compare",
    reply_language="Language of the reply",
    reply_language_info="Of captions, descriptions and answers; a code such as pt-BR can be typed.",
    question="Question",
    labels="What to look for",
    labels_info='Several with ";" between them, as in: circle ; star',
    prompt="Prompt",
    prompt_info="Sent word for word, as in: detect star, answer en what is this?, or ocr",
    ask="Ask",
    stop="Stop",
    text="Answer, as the model wrote it",
    drawn="Drawn on the picture",
    boxes="Boxes",
    masks="Outlines",
    min_score="Show scores from",
    download="Download",
    working="Working …",
    done="Done: {seconds} s, score {score}.",
    cut="The answer reached its longest length and was cut.",
    repeated="The model began to name the same object again and was stopped.",
    nothing_found="Nothing was found.",
    unparsed="A part of the answer could not be read as objects; it is in the text.",
    stopped="Stopped.",
    no_picture="There is no picture yet: upload one, paste one or take the example.",
    no_question="The question is empty: type one.",
    no_labels="There is nothing to look for: name an object.",
    no_prompt="The prompt is empty: type one.",
    gone="This answer is not kept any more: ask again.",
    loading="The model is being loaded …",
    model="Model: {name}, pictures of {size} px.",
    nano="nano is a small demonstration: it knows drawn scenes only, and no photos. For photos, "
    "start the page with --model google/paligemma2-3b-mix-448.",
    no_masks="It has no mask codec: segments come as boxes.",
    no_second="To compare two models, start the page with --compare and the second model's name.",
    failures=(
        ("overloaded", "The server is busy: ask again in a moment."),
        ("draining", "The server is stopping: ask again soon."),
        ("loading", "The model is still being loaded: ask again in a moment."),
        ("deadline", "The answer took too long and was given up."),
        ("model_failed", "The model failed on this question; the next one may well work."),
        ("internal", "Something went wrong here; the server's log says where."),
    ),
    bad_picture="",
    bad_request="",
)

_CHINESE = Words(
    tagline="就一张图片向 PaliGemma 提问",
    page_language="页面语言",
    picture="图片：上传、粘贴或拍照",
    example="示例",
    caption="标题",
    describe="描述",
    answer="问答",
    ocr="文字识别",
    detect="检测",
    segment="分割",
    free="自由提示词",
    compare="模型对比",
    reply_language="回答语言",
    reply_language_info="用于标题、描述和问答；也可以输入语言代码，例如 pt-BR。",
    question="问题",
    labels="要找的物体",
    labels_info="多个物体用“;”隔开，例如：circle ; star",
    prompt="提示词",
    prompt_info="原样发送，例如：detect star、answer en what is this? 或 ocr",
    ask="提问",
    stop="停止",
    text="模型的原始回答",
    drawn="画在图片上",
    boxes="边框",
    masks="轮廓",
    min_score="最低分数",
    download="下载",
    working="处理中…",
    done="完成：{seconds} 秒，分数 {score}。",
    cut="回答达到最大长度，已被截断。",
    repeated="模型开始重复同一个物体，已停止。",
    nothing_found="没有找到任何物体。",
    unparsed="回答中有一部分无法解析为物体，见原文。",
    stopped="已停止。",
    no_picture="还没有图片：请上传、粘贴，或使用示例。",
    no_question="问题为空：请输入问题。",
    no_labels="没有要找的物体：请输入物体名称。",
    no_prompt="提示词为空：请输入提示词。",
    gone="该回答已不再保存：请重新提问。",
    loading="正在加载模型…",
    model="模型：{name}，图片边长 {size} 像素。",
    nano="nano 只是一个小型演示模型：只认识绘制的场景，不认识照片。要处理照片，请用 --model "
    "google/paligemma2-3b-mix-448 启动。",
    no_masks="该模型没有掩码解码器：分割只给出边框。",
    no_second="要对比两个模型，请在启动时用 --compare 指定第二个模型。",
    failures=(
        ("overloaded", "服务器繁忙：请稍后再试。"),
        ("draining", "服务器正在停止：请稍后再试。"),
        ("loading", "模型仍在加载：请稍后再试。"),
        ("deadline", "回答用时过长，已放弃。"),
        ("model_failed", "模型处理这个问题时出错；可以换个问题再试。"),
        ("internal", "服务器内部出错；详情见服务器日志。"),
    ),
    bad_picture="无法使用这张图片：",
    bad_request="无法处理这个请求：",
)

_BY_CODE = {"en": _ENGLISH, "zh": _CHINESE}


def words_in(language: str) -> Words:
    """The texts in a language; English where it is not known."""
    return _BY_CODE.get(language, _ENGLISH)


def language_for(accepted: str) -> str:
    """The page's language for a browser's Accept-Language header."""
    return "zh" if accepted.strip().lower().startswith("zh") else "en"


def sentence_of(problem: Problem, words: Words) -> str:
    """A problem as one sentence of the page."""
    for kind, sentence in words.failures:
        if kind == problem.kind:
            return sentence
    lead = words.bad_picture if problem.param == "image" else words.bad_request
    said = problem.message
    return lead + (said if lead else f"{said[:1].upper()}{said[1:]}.")
