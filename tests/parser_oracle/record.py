#!/usr/bin/env python3
"""Asks PostgreSQL's own parser whether it reads what pgveil prints as it reads the client's text, and
records the answers in statements.sql, where tests/parser_oracle.rs finds them.

    python3 -m venv /tmp/oracle && /tmp/oracle/bin/pip install 'pglast==7.*'
    git clone --branch 17-latest --depth 1 https://github.com/pganalyze/libpg_query
    /tmp/oracle/bin/python tests/parser_oracle/record.py libpg_query/test/sql/postgres_regress

pglast 7 carries the parser of PostgreSQL 17 (libpg_query). Run this again after a change of the
printer, or when something new is read; it writes nothing when a statement is read differently, and
prints what differs.
"""

import collections
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

from pglast.parser import fingerprint, parse_sql_json, split

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "statements.sql")
KINDS = {"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}
# Texts longer than this are a few dozen, and add nothing.
LONGEST = 4000
# Of one shape; the regression tests repeat themselves.
PER_SHAPE = 2


def plain_sql(path):
    """The file without psql's own commands and COPY data."""
    lines, copying = [], False
    with open(path, encoding="utf8", errors="replace") as text:
        for line in text.read().split("\n"):
            if copying:
                copying = line.strip() != "\\."
            elif line.startswith("\\"):
                lines.append(";")
            else:
                if re.search(r"\\(g|gset|gexec|gdesc|watch|crosstabview|bind|parse|;)\b", line):
                    line = line.split("\\")[0] + ";"
                copying = bool(re.match(r"(?i)\s*copy\b.*from\s+stdin", line))
                lines.append(line)
    return "\n".join(lines)


def statements(folder):
    """(kind, text) of every statement of the kinds above that the parser accepts, once."""
    seen, shapes = set(), collections.Counter()
    for path in sorted(glob.glob(os.path.join(folder, "*.sql")) + [os.path.join(HERE, "extra.sql")]):
        text = plain_sql(path)
        try:
            parts = split(text, with_parser=False)
        except Exception:
            parts = re.split(r";\s*\n", text)
        for part in parts:
            part = part.strip()
            if not part or part in seen or len(part) > LONGEST or ";;;; " in part:
                continue
            seen.add(part)
            try:
                found = json.loads(parse_sql_json(part))["stmts"]
                shape = fingerprint(part)
            except Exception:
                continue
            if len(found) != 1:
                continue
            kind = next(iter(found[0]["stmt"]))
            shapes[shape] += 1
            if kind in KINDS and shapes[shape] <= PER_SHAPE:
                yield kind, part


def normal(node, grouping=False):
    """The tree without positions, and with one form for what means the same."""
    if isinstance(node, list):
        return [normal(item, grouping) for item in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key.endswith("location") or key in ("stmt_len", "funcformat"):
            continue
        # `(a, b)` and `ROW(a, b)` differ only where one groups by two keys and the other by one.
        if key == "row_format" and not grouping:
            continue
        inside = key in ("groupClause", "GroupingSet", "content") or (
            grouping and key == "RowExpr"
        )
        out[key] = normal(value, inside)
    # LIKE is its operator.
    if out.get("kind") in ("AEXPR_LIKE", "AEXPR_ILIKE", "AEXPR_SIMILAR"):
        out["kind"] = "AEXPR_OP"
    # 1E5 is 1e5.
    if isinstance(out.get("fval"), dict) and "fval" in out["fval"]:
        out["fval"]["fval"] = out["fval"]["fval"].lower()
    # `(a[1]).b` is `a[1].b`; but `(a[1])[2]` is not `a[1][2]`.
    outer = out.get("A_Indirection")
    if outer and "A_Indirection" in outer.get("arg", {}):
        inner = outer["arg"]["A_Indirection"]
        meeting = (inner["indirection"][-1], outer["indirection"][0])
        if not all("A_Indices" in step for step in meeting):
            out["A_Indirection"] = {
                "arg": inner["arg"],
                "indirection": inner["indirection"] + outer["indirection"],
            }
    # PostgreSQL ignores the bounds of int[3].
    if "arrayBounds" in out:
        out["arrayBounds"] = len(out["arrayBounds"])
    # A precision above 6 is 6, with a warning.
    value = out.get("SQLValueFunction")
    if value and value.get("typmod", 0) > 6:
        value["typmod"] = 6
    # `json` and `json_object(…)` are keywords in PostgreSQL 17, and names found in pg_catalog before.
    if out.get("names") == [{"String": {"sval": "json"}}]:
        out["names"] = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "json"}}]
    if out.get("funcname") == [{"String": {"sval": "json_object"}}]:
        out["funcname"] = [{"String": {"sval": "pg_catalog"}}, {"String": {"sval": "json_object"}}]
    # LIMIT ALL is no limit.
    if "limitOption" in out:
        if out.get("limitCount", {}).get("A_Const", {}).get("isnull"):
            del out["limitCount"]
        if "limitCount" not in out and out["limitOption"] == "LIMIT_OPTION_COUNT":
            out["limitOption"] = "LIMIT_OPTION_DEFAULT"
    return out


def tree(text):
    return normal(json.loads(parse_sql_json(text))["stmts"][0]["stmt"])


def printed(texts):
    """What pgveil makes of each text: [true, as printed] or [false, why not]."""
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = os.path.join(folder, "in"), os.path.join(folder, "out")
        with open(asked, "w", encoding="utf8") as out:
            json.dump(texts, out)
        subprocess.run(
            ["cargo", "test", "--test", "parser_oracle", "--", "--ignored", "print_for_recording"],
            cwd=os.path.dirname(os.path.dirname(HERE)),
            env=dict(os.environ, ORACLE_IN=asked, ORACLE_OUT=answered),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with open(answered, encoding="utf8") as answers:
            return json.load(answers)


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode("utf8"):
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main(folder):
    asked = list(statements(folder))
    answers = printed([text for _, text in asked])
    all_of, read = collections.Counter(), collections.Counter()
    reasons, example, different, records = collections.Counter(), {}, [], []
    for (kind, text), (lowered, answer) in zip(asked, answers):
        all_of[kind] += 1
        if not lowered:
            why = re.sub(r" at Some.*", "", answer)
            reasons[why] += 1
            if len(text) < len(example.get(why, text + " ")):
                example[why] = text
            records.append((text, "refused"))
            continue
        read[kind] += 1
        try:
            same = tree(text) == tree(answer)
        except Exception as error:
            same, answer = False, f"{answer}\n   {error}"
        if not same:
            different.append((text, answer))
        records.append((text, f"{fnv1a(answer):016x}"))
    print("| statement | accepted by PostgreSQL | read by pgveil | |\n|---|---|---|---|")
    for kind in sorted(all_of):
        share = 100 * read[kind] / all_of[kind]
        print(f"| {kind} | {all_of[kind]} | {read[kind]} | {share:.1f} % |")
    share = 100 * read.total() / all_of.total()
    print(f"| all | {all_of.total()} | {read.total()} | {share:.2f} % |")
    print(f"read differently: {len(different)}")
    for reason, count in reasons.most_common(25):
        print(f"{count:5} {reason} | {' '.join(example[reason].split())[:90]}")
    for text, answer in different[:20]:
        print("---", text, "\n>>>", answer)
    if different:
        sys.exit("a statement is read differently: nothing is recorded")
    with open(FIXTURE, "w", encoding="utf8") as out:
        for text, answer in records:
            out.write(f"{text}\n;;;; {answer}\n")


if __name__ == "__main__":
    main(sys.argv[1])
