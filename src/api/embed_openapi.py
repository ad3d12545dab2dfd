#!/usr/bin/env python3
"""Turns docs/openapi.yaml into JSON, as the bytes of a C array that ends with a zero.

    embed_openapi.py INPUT.yaml OUTPUT.h

Reads the part of YAML that the document keeps to, so that building needs nothing but Python: mappings and sequences by
indentation, plain and quoted scalars, flow collections that are JSON, and literal (|) and folded (>) text. Whatever else is
found is an error; a test compares the outcome with that of a whole YAML parser.
"""

import json
import re
import sys

KEY = re.compile(r"""^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'\[\]{},&*!|>%@`-][^#]*?|\$ref)\s*:(?:\s+(.*))?$""")
NUMBER = re.compile(r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$")


class Reader:
    def __init__(self, text):
        self.lines = text.split("\n")
        self.at = 0

    def fail(self, what):
        raise SystemExit(f"line {self.at + 1}: {what}: {self.lines[self.at] if self.at < len(self.lines) else 'end'}")

    def peek(self):
        """Indentation and text of the next line that says something; (-1, "") at the end."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.strip()
            if text and not text.startswith("#"):
                if "\t" in line:
                    self.fail("a tab")
                return len(line) - len(line.lstrip(" ")), text
            self.at += 1
        return -1, ""

    def block(self, indent):
        _, text = self.peek()
        return self.sequence(indent) if text.startswith("- ") or text == "-" else self.mapping(indent)

    def mapping(self, indent):
        result = {}
        while True:
            here, text = self.peek()
            if here != indent or text.startswith("- "):
                if here > indent:
                    self.fail("unexpected indentation")
                return result
            match = KEY.match(text)
            if not match:
                self.fail("not a key")
            key = match[1]
            if key[0] in "\"'":
                key = self.scalar(key)
            if key in result:
                self.fail("a key that is there already")
            self.at += 1
            result[key] = self.value(match[2] or "", indent)

    def sequence(self, indent):
        result = []
        while True:
            here, text = self.peek()
            if here != indent or not (text.startswith("- ") or text == "-"):
                if here > indent:
                    self.fail("unexpected indentation")
                return result
            rest = text[2:].strip()
            inner = indent + len(text) - len(text[1:].lstrip(" "))
            if KEY.match(rest) and rest[0] not in "[{":
                # "- key: value": the mapping begins on this line.
                line = self.lines[self.at]
                self.lines[self.at] = " " * inner + line[line.index("-") + 1 :].lstrip(" ")
                result.append(self.mapping(inner))
            else:
                self.at += 1
                result.append(self.value(rest, indent))

    def value(self, text, indent):
        if text in ("|", ">", "|-", ">-"):
            return self.text(text, indent)
        if text == "":
            here, next_text = self.peek()
            is_sequence = next_text.startswith("- ")
            if here > indent or (here == indent and is_sequence):
                return self.block(here)
            return None
        if text[0] in "[{":
            return self.flow(text)
        return self.scalar(text)

    def flow(self, text):
        """A flow collection on one line."""
        value, rest = self.flow_value(text)
        if rest.strip() and not rest.strip().startswith("#"):
            self.fail("something behind a flow collection")
        return value

    def flow_value(self, text):
        """The value at the beginning, and the text behind it."""
        text = text.lstrip()
        if text[:1] in ("[", "{"):
            return self.flow_items(text[1:], {"[": "]", "{": "}"}[text[0]])
        match = re.match(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|(?:[^,\[\]{}:]|:(?! ))+)""", text)
        if not match:
            self.fail("not a flow collection")
        return self.scalar(match[1].strip()), text[match.end() :].lstrip()

    def flow_items(self, text, end):
        result = [] if end == "]" else {}
        while not (text := text.lstrip()).startswith(end):
            value, text = self.flow_value(text)
            if end == "}":
                if not text.startswith(": ") or value in result:
                    self.fail("not a flow mapping")
                result[value], text = self.flow_value(text[2:])
            else:
                result.append(value)
            text = text.lstrip()
            if text.startswith(","):
                text = text[1:]
            elif not text.startswith(end):
                self.fail("not a flow collection")
        return result, text[1:]

    def text(self, style, indent):
        lines = []
        inner = None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            here = len(line) - len(line.lstrip(" "))
            if line.strip() and here <= indent:
                break
            if line.strip() and inner is None:
                inner = here
            lines.append(line[inner:].rstrip() if inner is not None else "")
            self.at += 1
        while lines and not lines[-1]:
            lines.pop()
        if style[0] == "|":
            joined = "\n".join(lines)
        else:
            joined = re.sub(r"(?<!\n)\n(?!\n)", " ", "\n".join(lines)).replace("\n\n", "\n")
        return joined + ("" if style.endswith("-") else "\n")

    def scalar(self, text):
        if text[0] == '"':
            return json.loads(text)
        if text[0] == "'":
            if not text.endswith("'") or len(text) < 2:
                self.fail("an unended quote")
            return text[1:-1].replace("''", "'")
        text = re.sub(r"\s+#.*$", "", text)
        if text[0] in "&*!%@`" or ": " in text:
            self.fail("YAML beyond what is read here")
        if text in ("true", "false"):
            return text == "true"
        if text in ("null", "~"):
            return None
        if NUMBER.match(text):
            return json.loads(text)
        return text


def read(path):
    with open(path, encoding="utf-8") as file:
        reader = Reader(file.read())
    document = reader.block(0)
    if reader.peek()[0] >= 0:
        reader.fail("more than one document")
    return document


def main():
    source, target = sys.argv[1:]
    data = json.dumps(read(source), ensure_ascii=False, separators=(",", ":")).encode()
    rows = [", ".join(str(byte) for byte in data[i : i + 24]) for i in range(0, len(data), 24)]
    with open(target, "w", encoding="ascii") as file:
        file.write(",\n".join(rows) + ", 0,\n")


if __name__ == "__main__":
    main()
