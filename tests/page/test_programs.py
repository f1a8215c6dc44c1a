"""What needs a program is skipped where it is missing, and fails where CI is told to have it."""

import pytest

from tests.page.browser import need_programs


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_program_fails_in_ci_and_is_skipped_elsewhere(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match=r"needs no-such-program \(Debian: some-package\)"):
        need_programs("no-such-program", package="some-package")
    need_programs("python3", package="python3")
