"""What nobody may see is nowhere, however it gets into a line."""

from pathlib import Path

import pytest

from xfer_bench.doctor.facts import Diagnosis, Fact, Veil

ENVIRONMENT = {
    "HOME": "/home/ada",
    "HF_TOKEN": "hf_abcdefghijkl",
    "MY_PASSWORD": "correct horse",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
    "HTTPS_PROXY": "http://ada:pa55word@proxy.example:3128",
    "TOKENIZERS_PARALLELISM": "a harmless value",
    "TOKEN": "1",
}
VEIL = Veil.of(ENVIRONMENT)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the token hf_abcdefghijkl is wrong", "the token [hidden] is wrong"),
        ("correct horse and wJalrXUtnFEMI", "[hidden] and [hidden]"),
        ("cannot reach http://ada:pa55word@proxy.example:3128/x", "cannot reach http://proxy.example:3128/x"),
        ("cannot reach https://key@example.org", "cannot reach https://example.org"),
        ("pa55word alone", "[hidden] alone"),
        ("/home/ada/.cache/xfer-bench", "~/.cache/xfer-bench"),
        ("/home/ada", "~"),
        ("/home/adam/x and /home/ada-2", "/home/adam/x and /home/ada-2"),
        ("a harmless value, 1 line\nand  another", "a harmless value, 1 line and another"),
    ],
)
def test_a_veil_hides_secrets_passwords_and_home(text: str, shown: str) -> None:
    assert VEIL.over(text) == shown


def test_a_home_behind_a_link_is_home_too(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    veil = Veil.of({"HOME": str(tmp_path / "link")})
    assert veil.over(f"{tmp_path}/link/a {tmp_path}/real/b") == "~/a ~/b"


def test_the_root_as_home_hides_nothing() -> None:
    assert Veil.of({"HOME": "/"}).over("/usr/lib") == "/usr/lib"


def test_facts_are_found_by_their_state() -> None:
    well = Fact(section="a", name="b", value="c")
    ill = Fact(section="a", name="d", value="e", state="broken", reason="f")
    assert Diagnosis(facts=(well, ill)).of("broken") == (ill,)
    assert Diagnosis(facts=(well, ill)).of("warning") == ()
