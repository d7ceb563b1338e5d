"""Corpora of the papers, in small: what each record becomes, and that nothing is dropped without its reason."""

from __future__ import annotations

import bz2
import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from longstream.data import REASONS, Document, Item, Origin, Pair, ReadLimits, Rejected, open_source
from longstream.data.corpora import corrections, wikihow
from longstream.errors import InvalidInput


def items(path: Path, format: str = "auto", origin: Origin | None = None) -> list[Item]:
    found = list(open_source(path, format, origin=origin or Origin()))
    assert {item.reason for item in found if isinstance(item, Rejected)} <= set(REASONS)
    return found


def reasons(found: Sequence[Item]) -> list[str]:
    return [item.reason for item in found if isinstance(item, Rejected)]


def pairs(found: Sequence[Item]) -> list[Pair]:
    return [item for item in found if isinstance(item, Pair)]


def documents(found: Sequence[Item]) -> list[Document]:
    return [item for item in found if isinstance(item, Document)]


# MediaWiki

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Wikipedia</sitename>
    <base>https://en.wikipedia.org/wiki/Main_Page</base>
    <namespaces><namespace key="6" case="first-letter">Datei</namespace></namespaces>
  </siteinfo>
"""


def page(title: str, text: str, extra: str = "", ns: int = 0) -> str:
    return f"""  <page>
    <title>{title}</title>
    <ns>{ns}</ns>
    <id>{len(title)}</id>{extra}
    <revision>
      <id>77</id>
      <timestamp>2024-05-06T07:08:09Z</timestamp>
      <model>wikitext</model>
      <text bytes="1" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


ARTICLE = """{{Infobox mill|name=x}}
[[Datei:Mill.jpg|thumb|A mill]]
A '''mill''' ({{lang|de|Mühle}}; {{IPA|x}}) is a [[building|place]] where corn is ground.&lt;ref&gt;Smith&lt;/ref&gt;

It has a &lt;nowiki&gt;wheel&lt;/nowiki&gt;.
== History ==
Mills are [[old]].
{| class="wikitable"
| a table
|}
* first
* second
== References ==
&lt;references/&gt;
[[Category:Mills]]
"""


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "wiki.xml"
    pages = [
        page("Mill", ARTICLE),
        page("Mills", "#REDIRECT [[Mill]]", '\n    <redirect title="Mill" />'),
        page("Talk:Mill", "I think so.", ns=1),
        page("Mercury", "{{disambiguation}} Mercury may be: * a planet"),
        "  <page>\n    <title>Broken</titel>\n  </page>\n",
        page("Empty", "{{stub}}"),
        page("River", "A river flows."),
    ]
    path.write_text(HEAD + "".join(pages) + "</mediawiki>\n", encoding="utf-8")
    return path


def test_an_article_is_its_text_and_nothing_of_its_furniture(dump: Path) -> None:
    mill, river = documents(items(dump))
    assert mill.text == (
        "A mill is a place where corn is ground.\n\nIt has a wheel.\n\nHistory\n\nMills are old.\n\nfirst\n\nsecond"
    )
    assert river.text == "A river flows."
    assert (mill.external_id, mill.source, mill.licence) == ("4", "wiki", "CC-BY-SA-4.0")
    assert mill.provenance == {"title": "Mill", "url": "https://en.wikipedia.org/wiki/Mill", "revision": "77"}
    assert mill.time == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def test_what_is_no_article_is_told_by_its_reason(dump: Path) -> None:
    assert reasons(items(dump)) == ["no_article", "no_article", "no_article", "malformed", "empty"]


def test_a_dump_may_be_compressed_and_may_end_early(dump: Path) -> None:
    packed = dump.with_suffix(".xml.bz2")
    packed.write_bytes(bz2.compress(dump.read_bytes()))
    assert [item.text for item in documents(items(packed))] == [item.text for item in documents(items(dump))]
    packed.write_bytes(bz2.compress(dump.read_bytes()[:-60]))
    assert reasons(items(packed))[-1] == "truncated"
    packed.write_bytes(bz2.compress(dump.read_bytes())[:-20])
    assert reasons(items(packed, "mediawiki")) == ["truncated"]
    with pytest.raises(InvalidInput, match="broken at its beginning"):
        items(packed)


def test_a_page_that_is_too_large_is_left_out_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    path.write_text(HEAD + page("Long", "x" * 5_000) + page("River", "A river flows.") + "</mediawiki>")
    found = list(open_source(path, limits=ReadLimits(max_record_bytes=2_000)))
    assert reasons(found) == ["too_large"]
    assert documents(found)[0].text == "A river flows."


def test_a_dump_of_another_wiki_states_no_licence(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    path.write_text(
        HEAD.replace("en.wikipedia.org", "wiki.example.com") + page("A", "Text.") + "</mediawiki>"
    )
    assert documents(items(path))[0].licence == ""
    assert documents(items(path, origin=Origin(licence="MIT")))[0].licence == "MIT"


def test_entities_cannot_blow_a_page_up(tmp_path: Path) -> None:
    path = tmp_path / "wiki.xml"
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    path.write_text(bomb + HEAD + page("A", "&b;") + page("River", "A river flows.") + "</mediawiki>")
    found = items(path)
    assert reasons(found) == ["malformed"]
    assert documents(found)[0].text == "A river flows."


def test_an_extract_is_read_page_by_page(tmp_path: Path) -> None:
    path = tmp_path / "wiki_00.xml"
    path.write_text(
        '<doc id="12" url="https://de.wikipedia.org/wiki?curid=12" title="Mühle">\n'
        "Mühle\n\nEine Mühle mahlt.\n</doc>\n"
        '<doc id="13" url="u" title="Leer">\n</doc>\n'
        '<doc id="14" url="u" title="Halb">\nHalb'
    )
    found = items(path)
    (document,) = documents(found)
    assert (document.text, document.external_id) == ("Eine Mühle mahlt.", "12")
    assert document.licence == "CC-BY-SA-4.0"
    assert reasons(found) == ["empty", "truncated"]


@pytest.mark.parametrize("text", ["", "hello", "<html></html>", "<mediawikis"])
def test_another_xml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(InvalidInput):
        items(path, "mediawiki")


# Stack Exchange


def row(**attributes: str) -> str:
    return f"  <row {' '.join(f'{name}={quoteattr(value)}' for name, value in attributes.items())} />\n"


CODE = '<p>So:</p>\n<pre><code>ls -l | grep "a_b*"\n  cd x\n</code></pre>'
DAY = "2020-01-02T03:04:05.678"
ROWS = [
    row(
        Id="1",
        PostTypeId="1",
        AcceptedAnswerId="3",
        Score="9",
        Title="Why does bread go stale?",
        Tags="<bread><storage>",
        Body="<p>Mine is <em>hard</em>.</p>",
        CreationDate=DAY,
        ContentLicense="CC BY-SA 4.0",
    ),
    row(
        Id="2",
        PostTypeId="2",
        ParentId="1",
        Score="50",
        Body="<p>No idea.</p>",
        ContentLicense="CC BY-SA 4.0",
    ),
    row(
        Id="3",
        PostTypeId="2",
        ParentId="1",
        Score="-1",
        Body="<p>The starch.</p>",
        CreationDate="2020-01-03T03:04:05.000",
        ContentLicense="CC BY-SA 3.0",
    ),
    row(
        Id="4",
        PostTypeId="1",
        Title="List files &amp; folders?",
        Tags="|ls|shell|",
        Body="<p>On a shell.</p>",
    ),
    row(Id="5", PostTypeId="2", ParentId="4", Score="2", Body=CODE, CreationDate=DAY),
    row(Id="6", PostTypeId="2", ParentId="4", Score="2", Body="<p>Later.</p>", CreationDate=DAY),
    row(Id="7", PostTypeId="1", Score="0", Title="Nobody knows", Body="<p>?</p>", CreationDate="x"),
    row(Id="8", PostTypeId="2", ParentId="7", Score="-3", Body="<p>Spam.</p>", CreationDate="x"),
    row(Id="9", PostTypeId="5", Body="wiki"),
    row(Id="1", PostTypeId="1", Title="Twice", Body="x"),
    row(PostTypeId="1", Title="No number", Body="x"),
    '  <row Id="10" broken\n',
]
XML = '<?xml version="1.0" encoding="utf-8"?>\n'
POSTS = f"{XML}<posts>\n{''.join(ROWS)}</posts>\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "cooking.stackexchange.com"
    folder.mkdir()
    (folder / "Posts.xml").write_text(POSTS, encoding="utf-8")
    return folder


def test_a_question_is_answered_by_what_was_accepted_or_else_scored_best(site: Path) -> None:
    bread, shell = pairs(items(site / "Posts.xml"))
    assert bread.instruction == "Why does bread go stale?\n\nMine is *hard*."
    assert (bread.response, bread.licence, bread.source) == (
        "The starch.",
        "CC BY-SA 3.0",
        "cooking.stackexchange.com",
    )
    assert bread.time == datetime(2020, 1, 3, 3, 4, 5, tzinfo=UTC)
    assert bread.provenance == {
        "site": "cooking.stackexchange.com",
        "url": "https://cooking.stackexchange.com/q/1",
        "answer": "3",
        "tags": "bread, storage",
        "score": "-1",
        "question_score": "9",
    }
    assert shell.provenance["answer"] == "5"


def test_code_is_kept_as_it_is(site: Path) -> None:
    answer = pairs(items(site / "Posts.xml"))[1].response
    assert answer == 'So:\n\n```\nls -l | grep "a_b*"\n  cd x\n```'


def test_the_folder_of_a_site_reads_alike_and_says_what_it_left_out(site: Path) -> None:
    found = items(site, "stackexchange")
    assert pairs(found) == pairs(items(site / "Posts.xml"))
    assert Counter(reasons(found)) == {"malformed": 3, "no_answer": 1}


def test_answers_that_stand_before_their_question_are_found_too(site: Path) -> None:
    path = site / "Posts.xml"
    before = [(pair.instruction, pair.response) for pair in pairs(items(path))]
    turned = [line for line in ROWS[::-1] if "Twice" not in line]
    path.write_text(f"{XML}<posts>\n{''.join(turned)}</posts>\n")
    assert [(pair.instruction, pair.response) for pair in pairs(items(path))] == before


def test_a_folder_without_posts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no Posts\.xml"):
        items(tmp_path, "stackexchange")


# WikiHow


def article(number: int, steps: int = 4, **fields: Any) -> dict[str, Any]:
    return {
        "title": f"How to Bake Bread Number {number}",
        "introduction": "Bread is old.",
        "methods": [
            {
                "title": "By Hand",
                "steps": [
                    {"headline": f"Do {n}", "description": f"This is step {n} at length."}
                    for n in range(1, steps + 1)
                ],
            }
        ],
        **fields,
    }


def wikihow_pairs(tmp_path: Path, articles: Sequence[object], seed: int = 0) -> list[Item]:
    path = tmp_path / "how.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in articles))
    return items(path, "wikihow", Origin(seed=seed))


def test_fourteen_of_eighteen_templates_tell_the_true_number_of_steps(tmp_path: Path) -> None:
    assert len(set(wikihow.TEMPLATES)) == 18
    assert ["{n}" in template for template in wikihow.TEMPLATES] == [True] * 14 + [False] * 4
    found = pairs(wikihow_pairs(tmp_path, [article(n, steps=n % 40 + 1) for n in range(2_000)]))
    used = Counter(pair.provenance["template"] for pair in found)
    assert len(used) == 18
    for pair in found:
        steps = len(re.findall(r"^\d+\. ", pair.response, re.MULTILINE))
        assert str(steps) == pair.provenance["steps"]
        told = int(pair.provenance["template"].removeprefix("wikihow/")) <= wikihow.TELLING
        numbers = re.findall(
            r"\d+", pair.instruction.replace(re.findall(r"Number (\d+)", pair.instruction)[0], "", 1)
        )
        assert not told or re.search(rf"\b{steps} step{'s' if steps != 1 else ''}\b", pair.instruction), (
            numbers
        )


def test_half_of_the_answers_begin_with_the_introduction_and_all_bodies_occur(tmp_path: Path) -> None:
    found = pairs(wikihow_pairs(tmp_path, [article(n) for n in range(2_500)]))
    opens = sum(pair.response.startswith("Bread is old.") for pair in found)
    bodies = Counter(pair.provenance["body"] for pair in found)
    assert abs(opens / 2_500 - 0.5) < 0.026
    assert set(bodies) == {"headlines", "descriptions", "both"}
    assert min(bodies.values()) > 750
    by_body = {pair.provenance["body"]: pair.response.splitlines()[-1] for pair in found}
    assert by_body == {
        "headlines": "4. Do 4",
        "descriptions": "4. This is step 4 at length.",
        "both": "4. Do 4. This is step 4 at length.",
    }


def test_the_title_becomes_what_is_to_be_done(tmp_path: Path) -> None:
    for title, task in (
        ("How to Bake Bread", "bake Bread"),
        ("How to SSH into a Server?", "SSH into a Server"),
        ("Read", "read"),
    ):
        (pair,) = pairs(wikihow_pairs(tmp_path, [article(1, title=title)]))
        assert task in pair.instruction


def test_articles_of_other_shapes_are_read_and_those_without_steps_told(tmp_path: Path) -> None:
    plain_steps = {"title": "Boil Water", "steps": ["Fill the pot.", "Heat it."]}
    two = article(1, methods=[{"steps": [{"headline": "A"}]}, {"steps": [{"headline": "B"}]}])
    bad = [
        article(2, methods=[]),
        article(3, title=""),
        article(4, methods=[{"steps": "x"}]),
        {"title": "T"},
        7,
    ]
    found = wikihow_pairs(tmp_path, [plain_steps, two, *bad])
    assert pairs(found)[0].response == "1. Fill the pot.\n2. Heat it."
    assert pairs(found)[1].response.endswith(("1. A", "1. B"))
    assert reasons(found) == ["no_steps", "missing_field", "wrong_type", "wrong_type", "malformed"]
    assert pairs(found)[0].licence == "CC-BY-NC-SA-3.0"


def test_the_draws_are_those_of_seed_and_title_whatever_the_order(tmp_path: Path) -> None:
    articles = [article(n) for n in range(50)]
    first = {pair.instruction for pair in pairs(wikihow_pairs(tmp_path, articles))}
    assert {pair.instruction for pair in pairs(wikihow_pairs(tmp_path, articles[::-1]))} == first
    assert {pair.instruction for pair in pairs(wikihow_pairs(tmp_path, articles, seed=1))} != first


# NIv2 and BIG-bench

TASK = {
    "Definition": ["Write a story from these words.", "Make it long."],
    "Instance License": ["CC BY 4.0"],
    "Instances": [
        {"id": "t-1", "input": "mill, river", "output": ["A mill stood by a river.", "Another."]},
        {"id": "t-2", "input": "x", "output": []},
        {"id": "t-3", "input": 4, "output": ["y"]},
        "no object",
        {"id": "t-4", "input": "y", "output": ["  "]},
    ],
    "URL": ["https://example.org/task"],
}


def test_an_instance_is_asked_for_by_its_tasks_definition(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "task1.json").write_text(json.dumps(TASK))
    (tmp_path / "tasks" / "task2.json").write_text(json.dumps(TASK)[:-200])
    found = items(tmp_path / "tasks", "niv2")
    first = pairs(found)[0]
    assert (first.instruction, first.input, first.response) == (
        "Write a story from these words. Make it long.",
        "mill, river",
        "A mill stood by a river.",
    )
    assert (first.licence, first.external_id) == ("CC BY 4.0", "t-1")
    assert first.provenance == {"file": "task1.json", "url": "https://example.org/task"}
    assert reasons(found)[:4] == ["wrong_type", "wrong_type", "wrong_type", "empty"]
    assert reasons(found)[-1] == "truncated"


def test_an_example_of_big_bench_asks_by_its_input_and_choices_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "mystery").mkdir()
    task = {
        "name": "mystery",
        "task_prefix": "Solve it.\n",
        "examples": [
            {"input": "Who was it?", "target": ["The gardener.", "He."]},
            {"input": "Yes or no?", "target_scores": {"yes": 1, "no": 0}},
            {"input": "Open?", "target": "Nobody."},
        ],
    }
    (tmp_path / "mystery" / "task.json").write_text(json.dumps(task))
    found = items(tmp_path, "bigbench")
    assert [(pair.instruction, pair.response) for pair in pairs(found)] == [
        ("Solve it.\nWho was it?", "The gardener."),
        ("Solve it.\nOpen?", "Nobody."),
    ]
    assert reasons(found) == ["no_answer"]


# Corrections


def test_a_text_and_its_corrections_become_a_pair_with_one_of_twelve_requests(tmp_path: Path) -> None:
    path = tmp_path / "bea.json"
    lines = [
        {
            "id": "1",
            "text": "He go home yesterday .",
            "edits": [[0, [[3, 5, "went"], [20, 22, "."]]]],
            "cefr": "A2",
        },
        {"id": "2", "text": "All is well.", "edits": [[0, []]]},
        {"id": "3", "text": "abc", "edits": [[0, [[0, 2, "x"], [1, 3, "y"]]]]},
        {"id": "4", "text": "abc"},
        {"id": "5", "text": "a b", "edits": [[0, [[1, 2, None], [0, 1, "A"]]]]},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = items(path, "corrections")
    first, last = pairs(found)
    assert (first.input, first.response) == ("He go home yesterday .", "He went home yesterday.")
    assert first.instruction in corrections.TEMPLATES
    assert (first.external_id, first.provenance["cefr"]) == ("1", "A2")
    assert last.response == "A b"
    assert reasons(found) == ["no_correction", "malformed", "missing_field"]


def test_sentences_in_m2_get_the_first_teachers_corrections_and_a_writers_spaces(tmp_path: Path) -> None:
    path = tmp_path / "a.m2"
    path.write_text(
        "S He go to school , does n't he ?\n"
        "A 1 2|||R:VERB|||goes|||REQUIRED|||-NONE-|||0\n"
        "A 1 2|||R:VERB|||walks|||REQUIRED|||-NONE-|||1\n\n"
        "S Fine .\nA -1 -1|||noop|||-NONE-|||REQUIRED|||-NONE-|||0\n\n"
        "S A the cat .\nA 0 1|||U:DET||||||REQUIRED|||-NONE-|||0\nA 1 2|||R:ORTH|||The|||REQUIRED|||-NONE-|||0\n\n"
        "S Broken\nA one|||x\n"
    )
    found = items(path)
    assert [(pair.input, pair.response) for pair in pairs(found)] == [
        ("He go to school, doesn't he?", "He goes to school, doesn't he?"),
        ("A the cat.", "The cat."),
    ]
    assert reasons(found) == ["no_correction", "malformed"]


def test_all_twelve_requests_occur(tmp_path: Path) -> None:
    path = tmp_path / "bea.jsonl"
    lines = [{"text": f"He go {n}", "edits": [[0, [[3, 5, "goes"]]]]} for n in range(400)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert {pair.instruction for pair in pairs(items(path, "corrections"))} == set(corrections.TEMPLATES)
    assert len(set(corrections.TEMPLATES)) == 12


# Pages and other encodings

PAGE = """<html><head><title>Mills</title></head><body><nav><a href="/">Home</a> <a href="/x">More</a></nav>
<article><h1>Mills</h1><p>A mill is a place where corn is ground between two stones, and it has a wheel.</p>
<p>Its wheel is turned by water or by wind, which costs nothing but comes as it likes.</p></article>
<footer>Copyright 2020. All rights reserved.</footer></body></html>"""


def test_a_page_is_its_main_content(tmp_path: Path) -> None:
    (tmp_path / "mill.html").write_text(PAGE)
    (tmp_path / "nothing.html").write_text("<html></html>")
    found = items(tmp_path)
    (document,) = documents(found)
    assert "A mill is a place" in document.text
    assert "Home" not in document.text
    assert "rights reserved" not in document.text
    assert reasons(found) == ["no_main_text"]


def test_a_file_in_another_encoding_is_read_by_its_mark_or_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Mühle".encode("utf-16"))
    (tmp_path / "b.txt").write_bytes("Mühle".encode("latin-1"))
    found = items(tmp_path)
    assert [document.text for document in documents(found)] == ["Mühle"]
    assert reasons(found) == ["invalid_utf8"]
    named = items(tmp_path, origin=Origin(encoding="latin-1"))
    assert [document.text for document in documents(named)] == ["Mühle", "Mühle"]
    with pytest.raises(InvalidInput, match="no encoding"):
        items(tmp_path, origin=Origin(encoding="runes"))


def test_markup_that_is_nested_too_deeply_ends_no_reading(tmp_path: Path, site: Path) -> None:
    path = tmp_path / "wiki.xml"
    pages = [
        page(f"Deep {n}", text)
        for n, text in enumerate(("&lt;b&gt;" * 90_000, "{{a|" * 90_000, "{|\n" * 90_000))
    ]
    pages.append(page("Brackets", f"{'(' * 50_000}{' ' * 50_000}"))
    pages.append(page("Long", "word " * 500_000))
    path.write_text(f"{HEAD}{''.join(pages)}{page('River', 'A river flows.')}</mediawiki>")
    found = items(path)
    assert documents(found)[-1].text == "A river flows."
    assert reasons(found) == ["malformed", "malformed", "malformed", "too_large"]
    posts = site / "Posts.xml"
    nested = row(Id="90", PostTypeId="1", Title="Deep", Body="<div>" * 5_000)
    answer = row(Id="91", PostTypeId="2", ParentId="90", Score="1", Body="<b>" * 5_000 + "x")
    posts.write_text(POSTS.replace("</posts>", f"{nested}{answer}</posts>"))
    found = items(posts)
    assert len(pairs(found)) >= 2
    assert len(found) == len(items(site, "stackexchange"))
