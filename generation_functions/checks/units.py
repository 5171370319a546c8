"""Units of measurement, and what makes one of another.

    UNITS["km"]       # (("length", 1000),): its kind, and how many of the kind's own unit it holds
    UNITS["pound"]    # (("mass", 453.592), ("sterling", 1)): a word for two

Words are English, signs are everybody's.
"""

from __future__ import annotations

from collections.abc import Callable

Unit = tuple[str, float]

# By kind, the words for each unit and its size. Words of one line mean the same.
_TABLE: dict[str, dict[str, float]] = {
    "length": {
        "m metre meter": 1,
        "km kilometre kilometer": 1000,
        "cm centimetre centimeter": 0.01,
        "mm millimetre millimeter": 0.001,
        "micron micrometre micrometer \u00b5m \u03bcm": 1e-6,
        "nm nanometre nanometer": 1e-9,
        "inch inches": 0.0254,
        "ft foot feet": 0.3048,
        "yd yard": 0.9144,
        "mile mi": 1609.344,
        "fathom": 1.8288,
        "league": 4828.0,
        "furlong": 201.168,
    },
    "mass": {
        "g gram gramme gm": 1,
        "kg kilo kilogram kilogramme": 1000,
        "mg milligram milligramme": 0.001,
        "\u00b5g \u03bcg mcg microgram": 1e-6,
        "t tonne": 1e6,
        "oz ounce": 28.35,
        "lb": 453.592,
        "stone": 6350.3,
        "hundredweight cwt": 50802.0,
    },
    "time": {
        "s sec second": 1,
        "ms millisecond": 0.001,
        "min minute": 60,
        "h hr hour": 3600,
        "day": 86400,
        "night": 86400,
        "week": 604800,
        "fortnight": 1209600,
        "month": 2629800,
        "year yr": 31557600,
        "decade": 315576000,
        "century centuries": 3155760000,
    },
    "volume": {
        "l litre liter": 1,
        "ml millilitre milliliter cc": 0.001,
        "cl centilitre centiliter": 0.01,
        "dl decilitre deciliter": 0.1,
        "hectolitre hectoliter hl": 100,
        "gallon gal": 4.546,
        "quart": 1.1365,
        "pint": 0.568,
        "cup": 0.25,
        "tablespoon tbsp tablespoonful": 0.015,
        "teaspoon tsp teaspoonful": 0.005,
        "bushel": 36.37,
        "m\u00b3": 1000,
        "cm\u00b3": 0.001,
    },
    "area": {"hectare ha": 1, "acre": 0.4047, "m\u00b2": 1e-4, "km\u00b2": 100, "cm\u00b2": 1e-8},
    "share": {"% percent percentage": 0.01, "\u2030 permille": 0.001},
    "data": {
        "bit": 0.125,
        "byte": 1,
        "kb kilobyte kib": 1024,
        "mb megabyte mib": 1048576,
        "gb gigabyte gib": 1073741824,
    },
    "energy": {
        "j joule": 1,
        "kj kilojoule": 1000,
        "cal calorie": 4.184,
        "kcal kilocalorie": 4184,
        "kwh": 3.6e6,
    },
    "power": {"w watt": 1, "kw kilowatt": 1000, "mw megawatt": 1e6, "hp horsepower": 745.7},
    "pressure": {
        "pa pascal": 1,
        "mbar millibar": 100,
        "hpa hectopascal": 100,
        "kpa kilopascal": 1000,
        "bar": 1e5,
        "atmosphere atm": 101325,
        "psi": 6894.76,
    },
    "length/time": {"knot": 0.5144, "km/h kph": 0.27778, "mph m.p.h": 0.44704, "m/s": 1},
    "resistance": {"\u03c9 ohm": 1, "k\u03c9 kilohm": 1000, "m\u03c9 megohm": 1e6},
    "frequency": {"hz hertz": 1, "khz kilohertz": 1000, "mhz megahertz": 1e6, "ghz gigahertz": 1e9},
    "voltage": {"v volt": 1, "mv millivolt": 0.001, "kv kilovolt": 1000},
    "current": {"a ampere amp": 1, "milliampere milliamp ma": 0.001},
    "dollars": {"$ dollar": 1, "cent": 0.01},
    "sterling": {"\u00a3": 1, "shilling": 0.05, "penny pence": 1 / 240, "guinea": 1.05},
    "euros": {"\u20ac euro": 1},
    "francs": {"franc": 1},
    "marks": {"reichsmark": 1},
    "celsius": {"celsius centigrade \u00b0c": 1},
    "fahrenheit": {"fahrenheit \u00b0f": 1},
    "kelvin": {"kelvin \u00b0k": 1},
    "degree": {"degree \u00b0": 1},
}
_FOR_SEVERAL: dict[str, tuple[Unit, ...]] = {
    "pound": (("mass", 453.592), ("sterling", 1)),
    "ton": (("ton", 1), ("mass", 1e6), ("mass", 1016046.9)),
}
# Every word for a unit, in lower case and in the singular.
UNITS: dict[str, tuple[Unit, ...]] = _FOR_SEVERAL | {
    word: ((kind, size),)
    for kind, sizes in _TABLE.items()
    for written, size in sizes.items()
    for word in written.split()
}
# These are other words, or letters, where no digits stand before them.
AFTER_DIGITS = frozenset(
    """m mi g t s ms sec min h hr l ml cl dl hl yd ft mm cm km nm kg mg gm oz lb yr j kj cal w kw mw hp pa v
    mv kv ma k a""".split()
)
# Of temperatures no size makes one of another; each gives degrees Celsius.
SCALES_OF_DEGREES: dict[str, Callable[[float], float]] = {
    "celsius": lambda celsius: celsius,
    "fahrenheit": lambda fahrenheit: (fahrenheit - 32) / 1.8,
    "kelvin": lambda kelvin: kelvin - 273.15,
}


POWERS = ("square", "cubic")


def raised(units: tuple[Unit, ...], power: str) -> tuple[Unit, ...]:
    """The area or the volume that a length spans: "square metre", "cubic foot"; () for what is no length."""
    sizes = [size for kind, size in units if kind == "length"]
    if power == "square":
        return tuple(("area", size**2 / 10_000) for size in sizes)  # hectares
    return tuple(("volume", size**3 * 1000) for size in sizes)  # litres


def singular(word: str) -> str:
    """A plural's singular, for words that count or measure: "feet", "inches", "halves", "days"."""
    if irregular := _IRREGULAR.get(word):
        return irregular
    return word[:-1] if len(word) > 2 and word.endswith("s") and not word.endswith("ss") else word


_IRREGULAR = {"feet": "foot", "inches": "inch", "centuries": "century", "halves": "half"}
