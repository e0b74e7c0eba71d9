"""The sampler against the exact distributions of the reference's."""

from collections.abc import Callable
from typing import Any

import torch

from cosystream.models.cosyvoice.config import SamplingConfig
from tests.support.distribution import shares


def test_each_id_is_as_likely_as_in_the_reference(cases: Callable[[str], Any]) -> None:
    for case in cases("ras_cases"):
        config = SamplingConfig(case["top_p"], case["top_k"], case["win_size"], case["tau_r"])
        logits = torch.tensor(case["logits"])
        found = shares(logits, case["decoded"], config)
        torch.testing.assert_close(found, torch.tensor(case["marginal"], dtype=torch.float64), rtol=0, atol=1e-4)
        nucleus = torch.zeros(len(logits), dtype=torch.float64)
        nucleus[case["candidates"]] = torch.tensor(case["candidate_probs"], dtype=torch.float64)
        torch.testing.assert_close(shares(logits, [], config), nucleus / nucleus.sum(), rtol=0, atol=1e-4)
