import numpy as np

from avjepa.fusion.sensor_shares import kept_shares


def test_shares_are_functions_of_the_seed_and_never_all_zero() -> None:
    seeds = list(range(2000))
    kept = kept_shares(seeds, 3, 0.6, 0.5)
    assert np.array_equal(kept[[5, 7]], kept_shares([5, 7], 3, 0.6, 0.5))
    assert ((kept == 0) | ((kept >= 0.1) & (kept <= 1))).all()
    assert kept.any(1).all()


def test_the_draw_is_a_dirichlet_one() -> None:
    """Its marginal is a Beta distribution: Beta(.5, 1) for three sensors and a concentration of .5, whose distribution
    function is the square root. Below a tenth of the input are a share of .1 / (3 · .6) of the whole."""
    kept = kept_shares(range(20_000), 3, 0.6, 0.5)
    expected = (0.1 / 1.8) ** 0.5
    assert abs((kept == 0).mean() - expected) < 0.01
    assert abs((kept == 1).mean() - (1 - (1 / 1.8) ** 0.5)) < 0.01
    alone = (kept > 0).sum(1) == 1
    assert 0.02 < alone.mean() < 0.2
