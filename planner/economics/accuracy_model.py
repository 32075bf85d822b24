"""Accuracy against compute: points joined in log tokens, coverage of repeated samples, votes, retries, ranges."""

import numpy as np

from planner.serving.normal import Array, total
from planner.serving.roots import solve_increasing

_MOST_SAMPLES = 10_000
"""Votes beyond this are answered as this many: the last percent moves no more."""
_MOST_TRIES = 1_000_000


def isotonic(values: Array) -> Array:
    """Return the non-decreasing sequence nearest to some values in least squares.

    Accuracies in the order of their tokens: more tokens of one model are taken never to hurt, so points that fall are
    pooled with those before them.

    References
    ----------
    R. E. Barlow et al., Statistical Inference under Order Restrictions (1972), max-min formula.

    >>> isotonic(np.array([0.2, 0.5, 0.3, 0.9])).tolist()
    [0.2, 0.4, 0.4, 0.9]
    """
    y = np.asarray(values, dtype=np.float64)
    means = [[float(np.mean(y[start:end])) for end in range(start + 1, y.size + 1)] for start in range(y.size)]
    return np.array([max(min(means[start][at - start :]) for start in range(at + 1)) for at in range(y.size)])


def coverage_law(samples: Array, coverage: Array) -> tuple[float, float]:
    """Return (a, b) of c(k) = exp(a k^b): exact for two points, least squares of log(-log c) in log k for more.

    Parameters
    ----------
    samples : k, at least two different numbers [1].
    coverage : share of questions that one of k samples answers, strictly between 0 and 1 [1].

    References
    ----------
    B. Brown et al., Large Language Monkeys, arXiv 2407.21787, section 3.1.
    """
    slope, level = np.polyfit(np.log(samples), np.log(-np.log(coverage)), 1)
    return float(-np.exp(level)), float(slope)


def coverage(samples: Array, a: Array, b: Array) -> Array:
    """Return the share of questions that at least one of k samples answers, exp(a k^b) [1].

    >>> float(coverage(np.array(250.0), np.array(-1.8389), np.array(-0.2090)).round(3))
    0.56
    """
    return np.asarray(np.exp(a * np.power(samples, b)))


def expected_tries(samples: Array, a: Array, b: Array) -> Array:
    """Return the mean number of tries until a verifier accepts, at most k: the sum of 1 - c(j) over j < k [1].

    A try is made where none before it was right; c(0) = 0. NaN above a million tries.
    """
    return np.asarray(np.vectorize(_tries, otypes=[np.float64])(samples, a, b))


def _tries(k: float, a: float, b: float) -> float:
    if not 1.0 <= k <= _MOST_TRIES:
        return float("nan")
    return float(1.0 + total(1.0 - coverage(np.arange(1.0, k), np.asarray(a), np.asarray(b))))


def vote_accuracy(accuracy: Array, correlation: Array, samples: Array, wrong_answers: Array) -> Array:
    """Return how often the answer most samples agree on is right.

    A question's samples are right independently with a probability of its own, which is Beta distributed
    over the questions; a wrong sample picks one of `wrong_answers` evenly; ties are broken evenly. With one
    wrong answer this is Condorcet's majority.

    Parameters
    ----------
    accuracy : share of right samples over all questions [1].
    correlation : intraclass correlation of samples of one question [1]: 0 is every question equally hard
        (a vote helps most), 1 is every question always or never right (a vote changes nothing).
    samples : votes [1].
    wrong_answers : how many different wrong answers compete, at least 1 [1].

    References
    ----------
    J. G. Skellam, J. R. Stat. Soc. B 10 (1948) 257-261 (beta-binomial). Condorcet (1785).
    """
    return np.asarray(np.vectorize(_vote, otypes=[np.float64])(accuracy, correlation, samples, wrong_answers))


def _vote(mean: float, correlation: float, samples: float, wrong: float) -> float:
    if not (0.0 <= mean <= 1.0 and 0.0 <= correlation <= 1.0 and samples >= 1.0 and wrong >= 1.0):
        return float("nan")
    if mean in {0.0, 1.0} or correlation == 1.0:
        return mean
    k = min(int(samples), _MOST_SAMPLES)
    return float(total(right_counts(mean, correlation, k) * winning(k, int(wrong))))


def right_counts(mean: float, correlation: float, samples: int) -> Array:
    """Return the probability of 0 … k right samples of a question (beta-binomial; binomial at correlation 0)."""
    right = np.arange(samples, dtype=np.float64)
    if correlation == 0.0:
        ratio = (samples - right) / (right + 1.0) * mean / (1.0 - mean)
    else:
        size = 1.0 / correlation - 1.0
        alpha, beta = mean * size, (1.0 - mean) * size
        ratio = (samples - right) / (right + 1.0) * (alpha + right) / (beta + samples - right - 1.0)
    log = np.concatenate(([0.0], np.cumsum(np.log(ratio))))
    weight = np.exp(log - np.max(log))
    return np.asarray(weight / total(weight))


_MOST_PLURALITY = 150
"""Factorials of more samples leave what a float can hold."""


def winning(samples: int, wrong_answers: int) -> Array:
    """Return the probability that c right samples of k win the vote, for c = 0 … k.

    The wrong ones fall evenly on some answers: the counts' exponential generating function, cut where one
    of them would pass c. Above 150 samples, where wrong counts hardly differ, they are taken as equal.
    """
    right = np.arange(samples + 1, dtype=np.float64)
    if wrong_answers == 1 or samples > _MOST_PLURALITY:
        rival = (samples - right) / wrong_answers
        return np.asarray(np.where(right > rival, 1.0, np.where(right == rival, 1.0 / (wrong_answers + 1.0), 0.0)))
    inverse = np.concatenate(([1.0], 1.0 / np.cumprod(np.arange(1.0, samples + 1.0))))
    return np.array([_wins(c, samples - c, wrong_answers, inverse) for c in range(samples + 1)])


def _wins(right: int, others: int, wrong: int, inverse: Array) -> float:
    """Return the probability that no wrong answer passes `right` votes, a tie of t counted 1/(t + 1)."""
    below, at, found, binomial = inverse[:right], inverse[right], 0.0, 1.0
    powers = [np.array([1.0])]
    for _ in range(wrong):
        powers.append(np.convolve(powers[-1], below)[: others + 1] if below.size else np.zeros(1))
    for tied in range(wrong + 1):
        rest, power = others - tied * right, powers[wrong - tied]
        if 0 <= rest < power.size:
            found += binomial * at**tied * power[rest] / (tied + 1.0)
        binomial *= (wrong - tied) / (tied + 1.0)
    return float(found / inverse[others] / float(wrong) ** others)


def vote_correlation(accuracy: float, voted: float, samples: int, wrong_answers: int = 1) -> float:
    """Return the correlation under which a vote of k samples has a measured accuracy; NaN where none does.

    More correlation always pulls a vote back to the accuracy of one sample.
    """

    def excess(correlation: Array, _: None) -> Array:
        return np.asarray(
            (voted - vote_accuracy(np.asarray(accuracy), correlation, np.asarray(samples), np.asarray(wrong_answers)))
            * side
        )

    best = _vote(accuracy, 0.0, samples, wrong_answers)
    side = 1.0 if best >= accuracy else -1.0
    if not min(accuracy, best) <= voted <= max(accuracy, best):
        return float("nan")
    return float(solve_increasing(excess, np.asarray(0.0), np.asarray(1.0), None))


def wilson(accuracy: Array, questions: Array, z: Array) -> Array:
    """Return one end of Wilson's score interval of a share: z standard deviations up, or down where negative.

    Parameters
    ----------
    accuracy : measured share [1].
    questions : independent questions it is a share of [1].
    z : standard normal quantile [1].

    References
    ----------
    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209-212.
    """
    p, n = np.asarray(accuracy, dtype=np.float64), np.asarray(questions, dtype=np.float64)
    spread = z * np.sqrt(p * (1.0 - p) / n + np.square(z) / (4.0 * np.square(n)))
    return np.asarray((p + np.square(z) / (2.0 * n) + spread) / (1.0 + np.square(z) / n))


def pareto(cost: Array, accuracy: Array) -> list[int]:
    """Return the rows no other row beats, cheapest first: none is at least as right for as little or less.

    A row without a cost or an accuracy is on no frontier; of equal rows the first is.
    """
    order = np.lexsort((np.arange(cost.size), -accuracy, cost))
    frontier: list[int] = []
    for row in order.tolist():
        known = np.isfinite(cost[row]) and np.isfinite(accuracy[row])
        if known and (not frontier or accuracy[row] > accuracy[frontier[-1]]):
            frontier.append(row)
    return frontier
