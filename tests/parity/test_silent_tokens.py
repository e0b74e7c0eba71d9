"""The shortening of silences against the reference's."""

from collections.abc import Callable
from typing import Any

from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.silent_tokens import LONGEST_RUN, SILENT, SilenceFilter


def test_what_is_kept_is_what_the_reference_keeps(cases: Callable[[str], Any]) -> None:
    silence = cases("silent_filter_cases")
    assert set(silence["silent_tokens"]) == SILENT
    assert silence["max_run"] == LONGEST_RUN
    for case in silence["cases"]:
        filtered = SilenceFilter(Version.V3)
        assert [token for token in case["raw"] if filtered.keeps(token)] == case["kept"]
