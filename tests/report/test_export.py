import pandas as pd

from spc.disclosure import Gate
from spc.report import csv_text


def test_digits_that_tell_of_the_order_of_sums_are_left_out():
    forward, backward = (sum(values) / 3 for values in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1]))
    assert forward != backward
    texts = set()
    for mean in (forward, backward):
        frame = pd.DataFrame({"unit": ["a", "b"], "mean": [mean, 4.0], "n": [9, 20]})
        texts.add(csv_text(Gate().groups(frame, keys=["unit"], values=["mean"], counts="n", name="t", digits=15)))
    assert len(texts) == 1
