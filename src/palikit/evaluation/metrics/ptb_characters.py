"""What the PTB tokenizer takes each character for.

Measured, one character after the other, with the tokenizer that pycocoevalcap 1.2 runs (Stanford
CoreNLP 3.4.1, whose letters are those of Unicode 6.1), so that nothing depends on the Unicode
version of the running Python.
"""

from bisect import bisect_right

_SHAPES = {
    "a": "é",  # a letter
    "m": "ô",  # a mark that joins a letter but no digit, such as a vowel sign
    "n": "٣",  # a digit
    "s": "§",  # a sign that stands alone
    "x": "\x01",  # dropped; separates like a blank
    "h": "‐",  # a hyphen inside a word, else dropped
    "d": "٫",  # a comma inside a number, else dropped
}
"""One character for each kind; kind k, characters with a rule of their own, keep theirs."""

_KINDS = """
k80 x81 k85 x86 k91 x95 k96 x98 kA0 sA1 kA2 sA5 aAA kAB sAC kAD sAE kB2 sB4 aB5 sB6 kB9 aBA kBB sBF
aC0 sD7 aD8 sF7 aF8 m2C2 a2C6 m2D2 a2E0 m2E5 a2EC m2ED a2EE m2EF a370 m375 a376 m378 a37A s37E x37F
m384 a386 s387 a388 x38B a38C x38D a38E x3A2 a3A3 m3F6 a3F7 x482 m483 x488 a48A x528 a531 x557 a559
m55A x560 a561 x588 s589 h58A x58B m591 s5BE m5BF s5C0 m5C1 s5C3 m5C4 s5C6 m5C7 x5C8 a5D0 x5EB a5F0
s5F3 x5F5 s600 x604 s606 x60D s614 m615 s61B x61C s61E a620 m64B x65F n660 s66A d66B s66D a66E m670
a671 s6D4 a6D5 m6D6 a6E5 m6E7 a6EE n6F0 a6FA m6FD a6FF s700 x70E m70F a710 m711 a712 m730 a74D m7A6
a7B1 x7B2 n7C0 a7CA m7EB a7F4 s7F6 x7F9 a7FA x7FB a800 x816 a81A x81B a824 x825 a828 x829 a840 x859
a8A0 x8A1 a8A2 x8AD m900 a904 x93A m93C a93D m93E x94F a950 m951 x956 a958 m962 s964 n966 x970 a971
x978 a979 x980 m981 x984 a985 x98D a98F x991 a993 x9A9 a9AA x9B1 a9B2 x9B3 a9B6 x9BA m9BC a9BD m9BE
x9C5 m9C7 x9C9 m9CB a9CE x9CF m9D7 x9D8 a9DC x9DE a9DF m9E2 x9E4 n9E6 a9F0 x9F2 mA01 xA04 aA05 xA0B
aA0F xA11 aA13 xA29 aA2A xA31 aA32 xA34 aA35 xA37 aA38 xA3A mA3C xA3D mA3E xA50 aA59 xA5D aA5E xA5F
nA66 xA70 aA72 xA75 mA81 xA84 aA85 xA8E aA8F xA92 aA93 xAA9 aAAA xAB1 aAB2 xAB4 aAB5 xABA mABC aABD
mABE aAD0 xAD1 aAE0 xAE2 nAE6 xAF0 aB05 xB0D aB0F xB11 aB13 xB29 aB2A xB31 aB32 xB34 aB35 xB3A aB3D
xB3E aB5C xB5E aB5F xB62 nB66 xB70 aB71 xB72 mB82 aB83 xB84 aB85 xB8B aB8E xB91 aB92 xB96 aB99 xB9B
aB9C xB9D aB9E xBA0 aBA3 xBA5 aBA8 xBAB aBAE xBBA mBBE xBC3 mBC6 xBC9 mBCA xBCE aBD0 xBD1 nBE6 xBF0
mC01 xC04 aC05 xC0D aC0E xC11 aC12 xC29 aC2A xC34 aC35 xC3A aC3D mC3E xC57 aC58 xC5A aC60 xC62 nC66
xC70 aC85 xC8D aC8E xC91 aC92 xCA9 aCAA xCB4 aCB5 xCBA aCBD xCBE aCDE xCDF aCE0 xCE2 nCE6 xCF0 aCF1
xCF3 aD05 xD0D aD0E xD11 aD12 xD3B aD3D mD3E xD45 mD46 xD49 aD4E xD4F aD60 xD62 nD66 xD70 aD7A xD80
aD85 xD97 aD9A xDB2 aDB3 xDBC aDBD xDBE aDC0 xDC7 aE01 mE31 aE32 mE34 xE3B sE3F aE40 mE47 sE4F nE50
xE5A aE81 xE83 aE84 xE85 aE87 xE89 aE8A xE8B aE8D xE8E aE94 xE98 aE99 xEA0 aEA1 xEA4 aEA5 xEA6 aEA7
xEA8 aEAA xEAC aEAD mEB1 aEB2 mEB4 aEBD xEBE aEC0 xEC5 aEC6 xEC7 mEC8 xECE nED0 xEDA aEDC xEE0 aF00
xF01 nF20 xF2A aF40 xF48 aF49 xF6D aF88 xF8D a1000 x102B a103F n1040 x104A a1050 x1056 a105A x105E
a1061 x1062 a1065 x1067 a106E x1071 a1075 x1082 a108E x108F n1090 x109A a10A0 x10C6 a10C7 x10C8
a10CD x10CE a10D0 x10FB a10FC x1249 a124A x124E a1250 x1257 a1258 x1259 a125A x125E a1260 x1289
a128A x128E a1290 x12B1 a12B2 x12B6 a12B8 x12BF a12C0 x12C1 a12C2 x12C6 a12C8 x12D7 a12D8 x1311
a1312 x1316 a1318 x135B a1380 x1390 a13A0 x13F5 a1401 x166D a166F x1680 a1681 x169B a16A0 x16EB
a1700 x170D a170E x1712 a1720 x1732 a1740 x1752 a1760 x176D a176E x1771 a1780 x17B4 a17D7 x17D8
a17DC x17DD n17E0 x17EA n1810 x181A a1820 x1878 a1880 x18A9 a18AA x18AB a18B0 x18F6 a1900 x191D
n1946 a1950 x196E a1970 x1975 a1980 x19AC a19C1 x19C8 n19D0 x19DA a1A00 x1A17 a1A20 x1A55 n1A80
x1A8A n1A90 x1A9A a1AA7 x1AA8 a1B05 x1B34 a1B45 x1B4C n1B50 x1B5A a1B83 x1BA1 a1BAE n1BB0 a1BBA
x1BE6 a1C00 x1C24 n1C40 x1C4A a1C4D n1C50 a1C5A x1C7E a1CE9 x1CED a1CEE x1CF2 a1CF5 x1CF7 a1D00
x1DC0 a1E00 x1F16 a1F18 x1F1E a1F20 x1F46 a1F48 x1F4E a1F50 x1F58 a1F59 x1F5A a1F5B x1F5C a1F5D
x1F5E a1F5F x1F7E a1F80 x1FB5 a1FB6 s1FBD a1FBE x1FBF a1FC2 x1FC5 a1FC6 x1FCD a1FD0 x1FD4 a1FD6
x1FDC a1FE0 x1FED a1FF2 x1FF5 a1FF6 x1FFD h2010 x2012 k2013 s2016 k2018 s2020 x2024 k2026 x2027
k2028 x202A s2030 k2039 s203B x203C s203E x2043 k2044 x2045 k2070 a2071 x2072 k2074 s207C a207F
k2080 s208C x208F a2090 x209D k20A0 x20A1 s20A4 x20A5 k20AC x20AD s2100 a2102 s2103 a2107 s2108
a210A s2114 a2115 s2116 a2119 s211E a2124 s2125 a2126 s2127 a2128 s2129 a212A s212E a212F s213A
a213C s2140 a2145 s214A a214E s214F x2150 k2153 s2155 x215F a2183 x2185 s2190 a2C00 x2C2F a2C30
x2C5F a2C60 x2CE5 a2CEB x2CEF a2CF2 x2CF4 a2D00 x2D26 a2D27 x2D28 a2D2D x2D2E a2D30 x2D68 a2D6F
x2D70 a2D80 x2D97 a2DA0 x2DA7 a2DA8 x2DAF a2DB0 x2DB7 a2DB8 x2DBF a2DC0 x2DC7 a2DC8 x2DCF a2DD0
x2DD7 a2DD8 x2DDF a2E2F x2E30 k3001 s3002 x3003 a3005 x3007 s3012 x3013 a3031 x3036 a303B x303D
a3041 x3097 a309D x30A0 a30A1 s30FB a30FC x3100 a3105 x312E a3131 x318F a31A0 x31BB a31F0 x3200
a3400 x4DB6 a4E00 x9FCD aA000 xA48D aA4D0 xA4FE aA500 xA60D aA610 nA620 aA62A xA62C aA640 xA66F
aA67F xA698 aA6A0 xA6E6 aA717 xA720 aA722 xA789 aA78B xA78F aA790 xA794 aA7A0 xA7AB aA7F8 xA802
aA803 xA806 aA807 xA80B aA80C xA823 aA840 xA874 aA882 xA8B4 nA8D0 xA8DA aA8F2 xA8F8 aA8FB xA8FC
nA900 aA90A xA926 aA930 xA947 aA960 xA97D aA984 xA9B3 aA9CF nA9D0 xA9DA aAA00 xAA29 aAA40 xAA43
aAA44 xAA4C nAA50 xAA5A aAA60 xAA77 aAA7A xAA7B aAA80 xAAB0 aAAB1 xAAB2 aAAB5 xAAB7 aAAB9 xAABE
aAAC0 xAAC1 aAAC2 xAAC3 aAADB xAADE aAAE0 xAAEB aAAF2 xAAF5 aAB01 xAB07 aAB09 xAB0F aAB11 xAB17
aAB20 xAB27 aAB28 xAB2F aABC0 xABE3 nABF0 xABFA aAC00 xD7A4 aD7B0 xD7C7 aD7CB xD7FC aF900 xFA6E
aFA70 xFADA aFB00 xFB07 aFB13 xFB18 aFB1D xFB1E aFB1F xFB29 aFB2A xFB37 aFB38 xFB3D aFB3E xFB3F
aFB40 xFB42 aFB43 xFB45 aFB46 xFBB2 aFBD3 xFD3E aFD50 xFD90 aFD92 xFDC8 aFDF0 xFDFC aFE70 xFE75
aFE76 xFEFD sFF01 nFF10 sFF1A aFF21 sFF3B aFF41 sFF5B aFF66 xFFBF aFFC2 xFFC8 aFFCA xFFD0 aFFD2
xFFD8 aFFDA xFFDD sFFE0 xFFE2 sFFE5 xFFE7
"""
"""Kind and first character, in hexadecimal, of every run of characters above ASCII."""


class _Shapes(dict[int, str]):
    """A table for `str.translate` that looks up each character once."""

    def __init__(self) -> None:
        super().__init__((code, chr(code)) for code in range(32, 127))
        runs = _KINDS.split()
        self._kinds = [run[0] for run in runs]
        self._starts = [int(run[1:], 16) for run in runs]

    def __missing__(self, code: int) -> str:
        self[code] = self._shape(code)
        return self[code]

    def _shape(self, code: int) -> str:
        if code < 128 and chr(code) in "\t\r\f":
            return "\t"
        # ASCII here is a control character; above 16 bits the original sees two unknown units.
        if code < 128 or code > 0xFFFF:
            return _SHAPES["x"]
        kind = self._kinds[bisect_right(self._starts, code) - 1]
        return _SHAPES.get(kind, chr(code))


def shape_table() -> dict[int, str]:
    """A table for `str.translate` from text to shapes.

    A shape is as long as its text: ASCII stands for itself, and every other character for its kind.
    """
    return _Shapes()
