"""Write stats.json: the values that the tests of `analysis/src/stats/` compare with.

Computed by numpy 2.4, scipy 1.17, statsmodels 0.15 and lifelines 0.30, or written out where none of them has it. Everything is
seeded; another version may change the last digits. JSON has no infinity: it is written as "inf".

Usage: pip install numpy scipy statsmodels lifelines && python stats.py
"""

import itertools
import json
import math
import warnings
from pathlib import Path

import numpy as np
from lifelines import KaplanMeierFitter
from lifelines.utils import median_survival_times, qth_survival_time, restricted_mean_survival_time
from scipy import optimize, stats
from scipy.stats._resampling import BootstrapResult
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

RNG = np.random.default_rng(1)


def rounded(values, digits=4):
    """Numbers short enough to read."""
    return [round(float(v), digits) for v in values]


def random_bytes(key, length):
    """ChaCha8: RFC 8439, section 2.3, with 8 rounds and a counter and a nonce of 64 bits, both from 0."""

    def quarter(s, a, b, c, d):
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] ^= s[x]
            s[z] = (s[z] << turn | s[z] >> (32 - turn)) & 0xFFFFFFFF

    out = b""
    for block in range(-(-length // 64)):
        words = [int.from_bytes(b"expand 32-byte k"[i : i + 4], "little") for i in range(0, 16, 4)]
        words += [int.from_bytes(key[i : i + 4], "little") for i in range(0, 32, 4)]
        words += [block & 0xFFFFFFFF, block >> 32, 0, 0]
        state = list(words)
        for _ in range(4):
            for i in range(4):
                quarter(state, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(state, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        out += b"".join(((a + b) & 0xFFFFFFFF).to_bytes(4, "little") for a, b in zip(words, state))
    return out


def random():
    """The upper half of the product of 64 random bits and 1000; that none is drawn anew is almost sure."""
    for seed in (0, 7, 2**64 - 1):
        data = random_bytes(seed.to_bytes(8, "little") + bytes(24), 160)
        words = [int.from_bytes(data[i : i + 8], "little") for i in range(0, 160, 8)]
        yield {"seed": seed, "below_1000": [word * 1000 >> 64 for word in words]}


def interquartile_mean():
    for n in range(1, 14):
        x = rounded(RNG.exponential(size=n))
        yield {"x": x, "mean": stats.trim_mean(x, 0.25)}


def bca():
    """scipy's BCa over resamples given to it: all of them up to 8 values. The confidence that it is told has as its normal
    quantile Student's, times the square root of n / (n - 1)."""
    statistics = {
        "mean": np.mean,
        "interquartile_mean": lambda x, axis=-1: stats.trim_mean(x, 0.25, axis=axis),
        "median": np.median,
    }
    cases = [(n, name, 0.95) for n in (3, 4, 5, 6, 7) for name in ("mean", "interquartile_mean")]
    cases += [(5, "mean", 0.8), (6, "median", 0.9), (7, "mean", 0.5), (10, "mean", 0.95), (20, "mean", 0.95)]
    cases += [(12, "interquartile_mean", 0.95), (20, "interquartile_mean", 0.95)]
    for n, name, confidence in cases:
        x, statistic = np.sort(rounded(RNG.exponential(size=n))), statistics[name]
        if n <= 8:
            resamples = x[np.array(list(itertools.product(range(n), repeat=n)))]
        else:
            resamples = RNG.choice(x, size=(400_000, n))
        # In order, so that the same values have the same sum, whose rounding may not decide what is below the statistic of x.
        resamples.sort(axis=-1)
        z = math.sqrt(n / (n - 1)) * stats.t.ppf((1 + confidence) / 2, n - 1)
        given = BootstrapResult(None, statistic(resamples, axis=-1), None)
        found = stats.bootstrap(
            (x,), statistic, n_resamples=0, bootstrap_result=given, confidence_level=2 * stats.norm.cdf(z) - 1, method="BCa"
        ).confidence_interval
        yield {"x": x.tolist(), "statistic": name, "confidence": confidence, "low": found.low, "high": found.high}


def acceleration():
    """Of the mean, whose jackknife is the values themselves: their skewness over 6 times the square root of n."""
    for n in (3, 8, 20):
        x = rounded(RNG.exponential(size=n))
        yield {"x": x, "a": stats.skew(x) / (6 * math.sqrt(n))}


def by_all_signs(x):
    """The p-values of Wilcoxon's test from all signs of the differences that are not 0."""
    x = np.array([v for v in x if v != 0])
    ranks = stats.rankdata(np.abs(x))
    # Twice the ranks are whole numbers, whose sums are equal or not.
    doubled = np.round(2 * ranks).astype(int)
    seen = doubled[x > 0].sum()
    sums = np.array([0])
    for rank in doubled:
        sums = np.concatenate([sums, sums + rank])
    greater, less = np.mean(sums >= seen), np.mean(sums <= seen)
    return {"two_sided": min(1, 2 * min(greater, less)), "greater": greater, "less": less, "rank_sum": seen / 2}


def signed_rank():
    sides = {"two_sided": "two-sided", "greater": "greater", "less": "less"}
    # Without ties, and far beyond what can be written out.
    for n in (1, 2, 5, 6, 10, 25, 60):
        x = rounded(RNG.normal(0.3, 1, size=n), 9)
        p = {key: stats.wilcoxon(x, alternative=side, method="exact").pvalue for key, side in sides.items()}
        yield {"x": x, **p, "rank_sum": stats.wilcoxon(x, alternative="greater").statistic}
    # With ties and zeros, all signs written out; for the first few scipy does so, too.
    for n, permuted in ((5, True), (8, True), (10, True), (14, False), (18, False)):
        x = RNG.integers(-3, 7, size=n).astype(float).tolist()
        found = by_all_signs(x)
        if permuted:
            kept = np.array([v for v in x if v != 0])

            def statistic(d, axis=-1):
                return np.sum(np.where(d > 0, stats.rankdata(np.abs(d), axis=axis), 0), axis=axis)

            for key, side in sides.items():
                p = stats.permutation_test(
                    (kept,), statistic, permutation_type="samples", n_resamples=np.inf, alternative=side, vectorized=True
                ).pvalue
                assert math.isclose(p, found[key], rel_tol=1e-12), (key, p, found)
        yield {"x": x, **found}
    # Beyond 60 pairs, the normal approximation.
    for x in (rounded(RNG.normal(0.2, 1, size=70), 9), RNG.integers(-9, 13, size=120).astype(float).tolist()):
        found = {
            key: stats.wilcoxon(x, alternative=side, method="asymptotic", correction=False) for key, side in sides.items()
        }
        yield {"x": x, **{key: value.pvalue for key, value in found.items()}, "rank_sum": found["greater"].statistic}


def holm():
    for p in ([0.01], [0.01, 0.04, 0.03, 0.005], [0.9, 0.8, 0.02], rounded(RNG.uniform(0, 0.2, size=10)), [0.02, 0.02, 0.5]):
        yield {"p": p, "adjusted": multipletests(p, method="holm")[1].tolist()}


def superiority():
    for n in (1, 5, 10, 33):
        for confidence in (0.95, 0.8):
            x = RNG.integers(-2, 4, size=n).tolist()
            wins = sum(v > 0 for v in x) + sum(v == 0 for v in x) / 2
            low, high = proportion_confint(wins, n, alpha=1 - confidence, method="wilson")
            yield {"x": x, "confidence": confidence, "probability": wins / n, "low": low, "high": high}
    low, high = proportion_confint(8, 8, alpha=0.05, method="wilson")
    yield {"x": [1] * 8, "confidence": 0.95, "probability": 1, "low": low, "high": min(1, high)}


def equivalence():
    for n, margin in ((5, 1.0), (10, 0.5), (10, 1.5), (20, 0.6), (40, 0.5)):
        x = np.array(rounded(RNG.normal(0.1, 0.8, size=n), 9))
        above = stats.wilcoxon(x + margin, alternative="greater", method="exact").pvalue
        below = stats.wilcoxon(x - margin, alternative="less", method="exact").pvalue
        yield {"x": x.tolist(), "margin": margin, "p": max(above, below)}


def survival():
    def case(time, event, limit):
        fitter = KaplanMeierFitter().fit(time, event)
        curve = fitter.survival_function_.join(fitter.confidence_interval_)
        curve = curve.loc[sorted({t for t, e in zip(time, event) if e})]
        low, high = median_survival_times(fitter.confidence_interval_).iloc[0]
        if curve.iloc[-1, 0] == 0 and high == curve.index[-1]:
            # A share of 0 has no interval. lifelines makes it 0 to 0, which ends the median's; we leave it open, as R's survfit.
            high = math.inf
        # lifelines adds up logarithms, so that a share of one half may be a little more.
        median = [qth_survival_time(0.5 + 1e-9, fitter.survival_function_), low, high]
        columns = dict(zip(("share", "low", "high"), curve.to_numpy().T.tolist()))
        return {
            "time": time,
            "event": event,
            "curve": {"time": curve.index.tolist(), **columns},
            "median": median,
            "limit": limit,
            "restricted_mean": restricted_mean_survival_time(fitter, t=limit),
        }

    for n, reached in ((6, 0.9), (10, 0.5), (20, 0.7), (40, 0.6), (12, 0.3)):
        seen = RNG.uniform(size=n) < reached
        yield case(RNG.integers(1, 30, size=n).astype(float).tolist(), seen.tolist(), 9.0)
    yield case([3.0, 5.0, 5.0, 8.0, 10.0, 10.0, 10.0], [True, True, False, True, False, False, False], 10.0)
    yield case([4.0, 7.0, 1.0, 9.0, 3.0, 12.0, 6.0, 2.0, 15.0, 11.0], [True] * 10, 12.5)


def trend():
    shapes = {
        "exponential": lambda x, a, b, c: a + b * np.exp(-c * x),
        "power": lambda x, a, b, c: a + b * x**-c,
    }
    made = [
        ("exponential", (0.3, 2.0, 0.15), np.arange(1, 31), 0.02),
        ("exponential", (0.05, 1.0, 0.01), np.arange(10, 600, 10), 0.01),
        ("power", (0.2, 3.0, 0.7), np.arange(1, 41), 0.02),
        ("power", (0.0, 2.5, 0.4), np.arange(100, 5100, 100), 0.005),
        ("exponential", (1.0, 1.0, 0.3), np.repeat(np.arange(1, 16), 3), 0.05),
    ]
    for name, parameters, x, noise in made:
        x = x.astype(float)
        y = np.array(rounded(shapes[name](x, *parameters) + RNG.normal(0, noise, size=len(x)), 6))
        case = {"x": x.tolist(), "y": y.tolist()}
        squares = {}
        for shape, f in shapes.items():
            # From many starts, so that it is not a local minimum that is compared with.
            fits = []
            for c in np.geomspace(0.05, 5, 9) / (x.max() / 5 if shape == "exponential" else 1):
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        start = (y.min(), (y.max() - y.min()) / f(x[0], 0, 1, c), c)
                        fit, _ = optimize.curve_fit(f, x, y, p0=start, ftol=1e-14, xtol=1e-14, gtol=1e-14, maxfev=20_000)
                    except RuntimeError:
                        continue
                fits.append((float(np.sum((y - f(x, *fit)) ** 2)), fit.tolist()))
            squares[shape], fit = min(fits)
            r_squared = 1 - squares[shape] / float(np.sum((y - y.mean()) ** 2))
            case[shape] = {"parameters": fit, "r_squared": r_squared}
        yield {**case, "better": min(squares, key=squares.get)}


def profile():
    for arms, workloads in ((2, 5), (4, 12)):
        times = np.array([rounded(RNG.lognormal(3, 1, size=workloads), 2) for _ in range(arms)])
        times[RNG.uniform(size=times.shape) < 0.15] = math.inf
        times[0, 0] = times[1, 0] = 20.0
        with np.errstate(invalid="ignore"):
            ratios = times / times.min(axis=0)
        ratios[np.isnan(ratios)] = math.inf
        factors = [1.0, 1.1, 2.0, 4.0, 20.0]
        grid = np.linspace(1, 4, 300_001)
        shares = (ratios[:, :, None] <= grid).mean(axis=1)
        both = [np.isfinite(times[0]) & np.isfinite(arm) for arm in times]
        yield {
            "times": times.tolist(),
            "factors": factors,
            "shares": (ratios[:, :, None] <= np.array(factors)).mean(axis=1).tolist(),
            "areas": (((shares[:, 1:] + shares[:, :-1]) / 2).mean(axis=1)).tolist(),
            "speed_ups": [float(stats.gmean(arm[k] / times[0, k])) for arm, k in zip(times, both)],
            "both": [int(k.sum()) for k in both],
        }


def plain(value):
    """Without numpy's types and infinities."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    return value


GROUPS = [
    random, interquartile_mean, bca, acceleration, signed_rank, holm, superiority, equivalence, survival, trend, profile,
]  # fmt: skip

if __name__ == "__main__":
    values = {group.__name__: plain(list(group())) for group in GROUPS}
    lines = (f'"{name}":{json.dumps(cases, separators=(",", ":"), allow_nan=False)}' for name, cases in values.items())
    Path(__file__).with_name("stats.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
