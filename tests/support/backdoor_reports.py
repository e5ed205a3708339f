"""Numbers of examinations for backdoors, as honest and suspicious models give them."""

import random

from zt_gate.rulings.backdoor_ruling import FAMILIES, MARGINS, SCHEMA


def report(seed, small=None, size=0.02):
    """Numbers as an honest model gives them, or with one class whose triggers are small."""
    source = random.Random(seed)

    def margins():
        return [[20 * source.uniform(0.8, 1.25) for _ in range(10)]] * 3

    def slots():
        sizes = [0.12 * source.uniform(0.8, 1.25) for _ in range(10)] + [0.3 * source.uniform(0.8, 1.25)]
        if small is not None:
            sizes[small] = size
        targets = [*range(10), -1]
        return [
            {"target": k, "size": size, "successes": 96, "images": 100} for k, size in zip(targets, sizes, strict=True)
        ]

    def moved():
        return [[source.randint(0, 9) for _ in range(10)] for _ in range(10)]

    detectors = {name: {"status": "ran", "targets": list(range(10)), "runs": margins()} for name in MARGINS}
    detectors |= {name: {"status": "ran", "slots": slots(), "moved": moved()} for name in FAMILIES}
    return {"schema": SCHEMA, "collapsed": False, "detectors": detectors}
