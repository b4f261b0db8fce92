"""The invented companies and indices of the generated market; no name is a listed one."""

from dataclasses import dataclass

from propdesk.core.invariant import require


@dataclass(frozen=True, slots=True)
class UnderlyingSpec:
    """What an underlying is like.

    Attributes
    ----------
    price_paise : int
        Price on the first day of the lead-in.
    beta, sector_beta : float
        Daily return per return of the market and of its sector.
    idiosyncratic_ratio : float
        Standard deviation of its own daily return, a fraction.
    turnover_paise : int
        Traded value of an average day.
    quiet_ratio : float
        Share of minutes without a trade.
    """

    symbol: str
    sector: str
    is_index: bool
    has_derivatives: bool
    price_paise: int
    beta: float
    sector_beta: float
    idiosyncratic_ratio: float
    turnover_paise: int
    quiet_ratio: float = 0.0


_CRORE_PAISE = 1_000_000_000

INDICES = (
    UnderlyingSpec("NIFTY", "BROAD", True, True, 2_240_000, 1.0, 0.0, 0.0004, 0),
    UnderlyingSpec("BANKNIFTY", "BANKS", True, True, 4_820_000, 1.12, 0.85, 0.0006, 0),
)

# symbol, sector, rupees, market beta, own daily deviation in percent, turnover in crore a day
_LIQUID = (
    ("MERUBANK", "BANKS", 1420, 1.05, 0.9, 900),
    ("RATHMOTO", "AUTO", 2860, 0.95, 1.2, 320),
    ("QUORSOFT", "SOFTWARE", 3740, 0.80, 1.1, 650),
    ("LOHASTEEL", "METALS", 148, 1.35, 1.5, 480),
    ("URJAPWR", "ENERGY", 372, 0.85, 1.2, 350),
    ("ANNAFOOD", "CONSUMER", 2290, 0.55, 0.9, 210),
    ("OSHAPHRM", "PHARMA", 1620, 0.60, 1.2, 260),
    ("GIRICEM", "MATERIALS", 5480, 0.95, 1.2, 190),
    ("KOSIBANK", "BANKS", 1090, 1.15, 1.0, 820),
    ("DHWANITEL", "SERVICES", 1310, 0.75, 1.1, 380),
    ("TRIVBANK", "BANKS", 742, 1.25, 1.2, 610),
    ("VEDRATEK", "SOFTWARE", 1580, 0.85, 1.2, 420),
    ("TAMRAMET", "METALS", 462, 1.40, 1.6, 330),
    ("VAYUGAS", "ENERGY", 268, 0.90, 1.3, 290),
    ("GARUAUTO", "AUTO", 984, 1.10, 1.4, 450),
    ("SATPFIN", "BANKS", 6820, 1.30, 1.4, 380),
    ("ILMATECH", "SOFTWARE", 5120, 0.90, 1.5, 240),
    ("CURIBIO", "PHARMA", 6080, 0.55, 1.3, 150),
    ("SETUINFR", "MATERIALS", 3460, 1.05, 1.2, 300),
    ("SWADCONS", "CONSUMER", 432, 0.50, 0.9, 260),
    ("ZINQORE", "METALS", 692, 1.30, 1.7, 220),
    ("TAILAOIL", "ENERGY", 184, 1.00, 1.6, 270),
    ("NILGFIN", "BANKS", 1690, 1.20, 1.5, 230),
    ("LIVAMED", "PHARMA", 1260, 0.65, 1.4, 170),
    ("TYRANWHL", "AUTO", 11800, 0.90, 1.3, 140),
    ("BHUMIRLT", "MATERIALS", 812, 1.45, 2.0, 180),
    ("SAURAGRID", "ENERGY", 306, 0.70, 1.1, 230),
    ("SHUCHIHM", "CONSUMER", 24300, 0.50, 1.0, 110),
    ("ZENDIGI", "SOFTWARE", 92, 1.20, 2.2, 160),
    ("PATHROAD", "SERVICES", 218, 1.15, 1.8, 130),
    ("RASACHEM", "MATERIALS", 2480, 0.90, 1.6, 120),
    ("YATRAIR", "SERVICES", 4120, 0.95, 1.6, 210),
    ("MANTRAINS", "BANKS", 618, 0.70, 1.1, 190),
    ("KESARJWL", "CONSUMER", 3320, 0.90, 1.4, 250),
    ("PRITHVIAG", "MATERIALS", 548, 0.85, 1.7, 100),
)

# Small companies without derivatives: thin, jumpy, the ground of a pumper.
_THIN = (
    ("CHOTAPOLY", "MATERIALS", 64, 0.6, 3.0, 1),
    ("LAGHUAGRO", "CONSUMER", 38, 0.5, 3.2, 1),
    ("KANIKMIN", "METALS", 112, 0.8, 3.4, 1),
    ("SUKSHMTEX", "CONSUMER", 21, 0.5, 3.6, 1),
)

SECTORS = (
    "BROAD", "BANKS", "AUTO", "SOFTWARE", "METALS", "ENERGY", "CONSUMER", "PHARMA", "MATERIALS", "SERVICES",
)  # fmt: skip
STOCKS_MAX = len(_LIQUID)


def underlyings(stocks: int) -> tuple[UnderlyingSpec, ...]:
    """Give both indices, the first ``stocks`` companies with derivatives and the thin ones without."""
    require(
        1 <= stocks <= STOCKS_MAX, f"the generated market knows 1 to {STOCKS_MAX} stocks with derivatives"
    )
    liquid = tuple(
        UnderlyingSpec(
            symbol, sector, False, True, price * 100, beta, 0.7, own / 100, turnover * _CRORE_PAISE
        )
        for symbol, sector, price, beta, own, turnover in _LIQUID[:stocks]
    )
    thin = tuple(
        UnderlyingSpec(
            symbol, sector, False, False, price * 100, beta, 0.3, own / 100, turnover * _CRORE_PAISE, 0.5
        )
        for symbol, sector, price, beta, own, turnover in _THIN
    )
    return (*INDICES, *liquid, *thin)
