"""One reading far ahead of the others is taken; where two are near, nothing is."""

from __future__ import annotations

import pytest

from features.sources.encodings import question, readings, sure_reading

WORDS = {
    "German": ("Müller Größe Schäfer Jörg Weiß STRAßE", ("cp1252", "cp850", "mac-roman")),
    "prices": ("12,30 € Preis in €", ("cp1252",)),
    "French": ("Hélène François Crêpe à Noël Où", ("cp1252", "cp850", "mac-roman")),
    "Spanish": ("Muñoz Peña José Ibáñez ¿Qué", ("cp1252",)),
    "Swedish": ("Åsa Öberg Björk", ("cp1252",)),
    "Polish": ("Łukasz Żółć Świątek Kraków Gdańsk", ("cp1250", "iso8859-2")),
    "Czech": ("Dvořák Novotný Růžička Jiří", ("cp1250",)),
    "Hungarian": ("Erdős Győr Szűcs", ("cp1250",)),
    "Turkish": ("Şahin Yıldız Çağlar", ("cp1254",)),
    "Russian": ("Иванов Москва Пётр Анна Смирнова Татьяна Новосибирск", ("cp1251", "koi8-r", "cp866")),
    "Greek": ("Γιώργος Αθήνα Παπαδόπουλος", ("cp1253",)),
    "Arabic": ("محمد علي", ("cp1256",)),
    "Hebrew": ("שלום כהן", ("cp1255",)),
    "Chinese": ("王芳 李娜 上海市 张伟 客户编号", ("gb18030",)),
    "traditional Chinese": ("王小明 陳美玲 台北市 客戶 訂單", ("big5",)),
    "Japanese": ("田中 佐藤太郎 ひらがな カタカナ 山田さん", ("cp932", "euc-jp")),
    "Korean": ("김철수 이영희 서울 박지성", ("cp949",)),
}
SURE = {
    ("German", "cp1252"), ("German", "cp850"), ("German", "mac-roman"), ("prices", "cp1252"), ("French", "cp1252"),
    ("French", "cp850"), ("Spanish", "cp1252"), ("Polish", "cp1250"), ("Hungarian", "cp1250"), ("Russian", "cp866"),
    ("traditional Chinese", "big5"), ("Japanese", "cp932"), ("Greek", "cp1253"),
}  # fmt: skip
CASES = [(language, encoding) for language, (_, encodings) in WORDS.items() for encoding in encodings]


@pytest.mark.parametrize(("language", "encoding"), CASES)
def test_no_text_is_ever_surely_read_as_another_one(language: str, encoding: str) -> None:
    text = WORDS[language][0].replace(" ", "\n")
    found = readings(text.encode(encoding))
    reading = sure_reading(found)
    assert reading is None or text.encode(encoding).decode(reading.encoding) == text
    assert reading is not None or f"`encoding: {encoding}`" in question(found)
    assert reading is not None or (language, encoding) not in SURE


def test_a_long_text_of_chinese_is_sure() -> None:
    names = "王芳 李娜 上海市 张伟 客户编号 北京市朝阳区 陈静 刘洋 杨勇 赵敏 黄磊 周杰 吴霞 徐强 孙丽 胡军 朱平 高峰"
    cities = "林涛 何明 郭斌 马超 罗兰 梁宇 宋佳 郑凯 谢娟 韩雪 唐磊 冯刚 于洋 董洁 萧红 程龙 曹颖 袁泉 邓超 许晴 沈腾"
    reading = sure_reading(readings(f"{names} {cities}".replace(" ", "\n").encode("gb18030")))
    assert reading is not None and reading.encoding == "gb18030"


@pytest.mark.parametrize("text", ["1\xa0234,50 12\xa0000", "25 °C\n30 °C\n12 ½", "12,30 €\n4,50€", "O’Brien\n“x”"])
def test_signs_and_blanks_of_windows_are_not_letters_of_dos(text: str) -> None:
    found = readings(text.encode("cp1252"))
    assert found[0].encoding == "cp1252" and found[0].score == 1


def test_readings_that_say_the_same_text_are_one() -> None:
    found = readings("Jörg".encode("cp1252"))
    assert [reading.encoding for reading in found if reading.examples == ("Jörg",)] == ["cp1252"]


def test_bytes_that_are_no_text_are_asked_about() -> None:
    found = readings(bytes(range(128, 256)))
    assert sure_reading(found) is None and "encoding is not sure" in question(found)


def test_a_loanword_is_likelier_than_a_word_of_two_scripts() -> None:
    assert readings("Weiß\nRosé\n€ 5\n".encode("cp1252"))[0].encoding == "cp1252"
