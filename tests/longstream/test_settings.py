"""Settings: defaults < file < environment, and nothing misspelt passes unseen."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.settings import Secret, describe, load

DEFAULT_KEY = Secret("hunter2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    port: int = 50051
    """TCP port; 0 takes any free one."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError("port must be between 0 and 65535")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    folder: Path
    """Where the data is."""
    keep: int = 1_000
    """Pairs in a release at most.

    More of them cost time.
    """
    rate: float = 1e-4
    wanted: bool = False
    topics: tuple[str, ...] = ("a", "b")
    note: str | None = None
    mode: Literal["fast", "exact"] = "exact"
    key: Secret = DEFAULT_KEY
    server: Listener = Listener(port=7)


def read(text: str, tmp_path: Path, suffix: str = ".yaml", **environ: str) -> Knobs:
    file = tmp_path / f"settings{suffix}"
    file.write_text(text)
    return load(Knobs, file=file, env_prefix="KNOBS_", environ={"KNOBS_FOLDER": "/data", **environ})


def test_the_file_overrides_defaults_and_the_environment_overrides_the_file(tmp_path: Path) -> None:
    knobs = read("keep: 5\nrate: 0.5\nserver: {port: 9}", tmp_path, KNOBS_RATE="0.25")
    assert (knobs.keep, knobs.rate, knobs.server.port, knobs.mode) == (5, 0.25, 9, "exact")


def test_an_outer_default_of_a_nested_table_wins_over_the_inner_one(tmp_path: Path) -> None:
    assert read("keep: 5", tmp_path).server == Listener(port=7)
    assert read("", tmp_path, KNOBS_SERVER_PORT="8").server == Listener(port=8)


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    yaml = read("topics: [x, y]\nwanted: true\nserver:\n  port: 1\nrate: 1e-5", tmp_path, ".yml")
    toml = read('topics = ["x", "y"]\nwanted = true\nrate = 1e-5\n[server]\nport = 1', tmp_path, ".toml")
    assert yaml == toml
    assert (yaml.topics, yaml.wanted, yaml.rate) == (("x", "y"), True, 1e-5)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("kepe: 1", "kepe", "did you mean keep?"),
        ("server: {prot: 1}", "server.prot", "did you mean server.port?"),
        ("mode: {port: 1}", "mode", "text is wanted"),
        ("server: 3", "server", "server.port"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    text: str, key: str, nearest: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(text, tmp_path)
    assert refusal.value.field == key
    assert nearest in refusal.value.message


def test_an_unknown_variable_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="KNOBS_KEPE; did you mean KNOBS_KEEP"):
        read("", tmp_path, KNOBS_KEPE="1")
    assert read("", tmp_path, OTHERS_KEPE="1").keep == 1_000


@pytest.mark.parametrize(
    "text",
    [
        *["keep: true", "keep: 1.5", "keep: '5'", "keep: null", "rate: .nan", "rate: fast", "wanted: 1"],
        *[
            "topics: a",
            "topics: [1]",
            "note: 3",
            "mode: slow",
            "folder: 3",
            "folder: ''",
            "server: {port: x}",
        ],
    ],
)
def test_a_value_of_another_type_is_refused_by_name(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is wanted") as refusal:
        read(text, tmp_path)
    assert refusal.value.field in {"server.port", text.split(":", maxsplit=1)[0]}


@pytest.mark.parametrize(
    ("variable", "text"),
    [("KEEP", "x"), ("KEEP", ""), ("RATE", "inf"), ("WANTED", "maybe"), ("MODE", "slow"), ("FOLDER", "")],
)
def test_a_variable_that_cannot_be_read_is_refused_by_name(variable: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"KNOBS_{variable}: .* is wanted"):
        read("", tmp_path, **{f"KNOBS_{variable}": text})


def test_a_bound_names_the_setting_and_where_it_was_set(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"server\.port must be .* \(set by KNOBS_SERVER_PORT\)"
    ) as refusal:
        read("", tmp_path, KNOBS_SERVER_PORT="70000")
    assert refusal.value.field == "server.port"


def test_a_setting_without_default_must_be_given() -> None:
    with pytest.raises(InvalidInput, match="folder has no default: set it in the file or as KNOBS_FOLDER"):
        load(Knobs, file=None, env_prefix="KNOBS_", environ={})


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 2: keep is given twice"):
        read("keep: 1\nkeep: 2", tmp_path)


@pytest.mark.parametrize("text", ["- a", "keep: [", "key: {hunter2"])
def test_a_file_that_is_no_table_is_refused_without_quoting_it(text: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(text, tmp_path)
    assert "hunter2" not in str(refusal.value)


def test_a_missing_file_and_an_unknown_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        load(Knobs, file=tmp_path / "none.yaml", env_prefix="KNOBS_", environ={})
    with pytest.raises(InvalidInput, match=r"ends in \.yaml"):
        read("{}", tmp_path, ".json")


def test_a_secret_is_masked_everywhere_but_where_it_is_asked_for(tmp_path: Path) -> None:
    knobs = read("", tmp_path, KNOBS_KEY="swordfish")
    assert "swordfish" not in f"{knobs} {knobs.key} {knobs.key!r} {vars(Secret)}"
    assert knobs.key.reveal() == "swordfish"
    assert knobs.key == Secret("swordfish")
    assert len({knobs.key, Secret("swordfish")}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(knobs.key)


def test_describe_names_every_setting_with_the_words_beneath_it() -> None:
    told = {setting.name: setting for setting in describe(Knobs, env_prefix="KNOBS_")}
    assert list(told) == [*[field.name for field in fields(Knobs)][:-1], "server.port"]
    assert told["keep"].doc == "Pairs in a release at most.\n\nMore of them cost time."
    assert told["server.port"].doc == "TCP port; 0 takes any free one."
    assert told["server.port"].variable == "KNOBS_SERVER_PORT"
    assert [setting.type for setting in told.values()][:4] == ["path", "int", "float", "bool"]
    assert [told[name].type for name in ("topics", "note", "mode")] == [
        "list of text",
        "text or none",
        "fast | exact",
    ]
    assert told["folder"].default is None
    assert [told[name].default for name in ("wanted", "topics", "note", "key", "server.port")] == [
        "false",
        "a,b",
        "none",
        "***",
        "7",
    ]


def test_two_settings_may_not_share_a_variable() -> None:
    @dataclass(frozen=True)
    class Clash:
        server_port: int = 1
        server: Listener = Listener()

    with pytest.raises(TypeError, match="share one environment variable"):
        load(Clash, file=None, env_prefix="X_", environ={})


knobs = st.builds(
    Knobs,
    folder=st.just(Path("/x")),
    keep=st.integers(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    wanted=st.booleans(),
    topics=st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True)).map(tuple),
    note=st.text(min_size=1),
    key=st.text().map(Secret),
)


@given(knobs)
def test_what_is_written_to_the_environment_is_what_is_read(expected: Knobs) -> None:
    environ = {
        "K_FOLDER": str(expected.folder),
        "K_KEEP": str(expected.keep),
        "K_RATE": repr(expected.rate),
        "K_WANTED": str(expected.wanted),
        "K_TOPICS": ",".join(expected.topics),
        "K_NOTE": str(expected.note),
        "K_KEY": expected.key.reveal(),
    }
    assert load(Knobs, file=None, env_prefix="K_", environ=environ) == expected


def test_settings_are_read_without_their_source_which_threads_cannot_parse_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Python 3.11 may fail with "AST constructor recursion depth mismatch" where two threads parse.
    monkeypatch.setattr(inspect, "getsource", lambda _: pytest.fail("the source is not needed"))
    assert load(Knobs, file=None, env_prefix="KNOBS_", environ={"KNOBS_FOLDER": "/data"}).folder == Path(
        "/data"
    )
