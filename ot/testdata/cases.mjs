// Writes cases.json: named cases to which both Go and TypeScript are held, with the results of npm's quill-delta.
//   node cases.mjs > cases.json
import { createRequire } from "node:module";

const require = createRequire(
  new URL("../../frontend/package.json", import.meta.url),
);
const Delta = require("quill-delta");
const d = (...ops) => new Delta(ops);
const [bold, red] = [{ bold: true }, { color: "red" }];

const contents = {
  "a pair between letters": {
    type: "rich",
    doc: d({ insert: "a😀b\n" }),
    edits: {
      nothing: d(),
      "insert at the start": d({ insert: "x" }),
      "insert a pair before the pair": d({ retain: 1 }, { insert: "😀" }),
      "insert behind the pair": d({ retain: 3 }, { insert: "é" }),
      "insert before the newline": d({ retain: 4 }, { insert: "y\nz" }),
      "delete the first letter": d({ delete: 1 }),
      "delete the pair": d({ retain: 1 }, { delete: 2 }),
      "delete all": d({ delete: 4 }),
      "replace the pair": d({ retain: 1 }, { insert: "😁" }, { delete: 2 }),
      "replace all, in bold": d(
        { insert: "日本", attributes: bold },
        { delete: 4 },
      ),
      "bold all": d({ retain: 4, attributes: bold }),
      "bold the pair, in red": d(
        { retain: 1 },
        { retain: 2, attributes: { ...bold, ...red } },
      ),
      "no bold anywhere": d({ retain: 5, attributes: { bold: null } }),
      "a header": d({ retain: 4 }, { retain: 1, attributes: { header: 1 } }),
      "an embed behind the pair": d(
        { retain: 3 },
        { insert: { image: "x" }, attributes: red },
      ),
    },
  },
  "formats and embeds": {
    type: "rich",
    doc: d(
      { insert: "ab", attributes: bold },
      { insert: { image: "x" } },
      { insert: { image: "x" }, attributes: red },
      { insert: "\n", attributes: { list: "bullet" } },
    ),
    edits: {
      "insert in bold inside": d(
        { retain: 1 },
        { insert: "x", attributes: bold },
      ),
      "insert without formats inside": d({ retain: 1 }, { insert: "x" }),
      'insert with "no bold"': d(
        { retain: 2 },
        { insert: "x", attributes: { bold: null } },
      ),
      "no bold": d({ retain: 2, attributes: { bold: null } }),
      "bold false": d({ retain: 2, attributes: { bold: false } }),
      "all in red": d({ retain: 4, attributes: red }),
      "all in blue": d({ retain: 4, attributes: { color: "blue" } }),
      "a link on the embeds": d(
        { retain: 2 },
        { retain: 2, attributes: { link: { to: "y", rel: null } } },
      ),
      "another link on the embeds": d(
        { retain: 2 },
        { retain: 2, attributes: { link: { to: "z" } } },
      ),
      "delete the first embed": d({ retain: 2 }, { delete: 1 }),
      "delete across": d({ retain: 1 }, { delete: 2 }),
      "replace an embed": d(
        { retain: 3 },
        { insert: { video: null } },
        { delete: 1 },
      ),
      "no list": d({ retain: 4 }, { retain: 1, attributes: { list: null } }),
      "an ordered list": d(
        { retain: 4 },
        { retain: 1, attributes: { list: "ordered" } },
      ),
    },
  },
  "plain text": {
    type: "text",
    doc: d({ insert: "if 👍🏽 {\r\n}" }),
    edits: {
      "insert at the start": d({ insert: "// " }),
      "insert at the end": d({ retain: 11 }, { insert: "\n" }),
      "insert between the pairs": d({ retain: 5 }, { insert: "\u200d" }),
      "delete the last": d({ retain: 10 }, { delete: 1 }),
      "delete the second pair": d({ retain: 5 }, { delete: 2 }),
      "delete everything": d({ delete: 11 }),
      "replace everything": d({ insert: "🏳️‍🌈" }, { delete: 11 }),
    },
  },
};

const line = [{ insert: "a😀b\n" }];
const deep = (n) => (n === 0 ? 1 : [deep(n - 1)]);
/** What no server takes, as it may come from an editor. */
const refused = {
  "retain past the end": ["rich", line, [{ retain: 6 }]],
  "delete past the end": ["rich", line, [{ retain: 1 }, { delete: 9 }]],
  "delete the last newline": ["rich", line, [{ retain: 4 }, { delete: 1 }]],
  "delete everything and write": [
    "rich",
    line,
    [{ insert: "x\n" }, { delete: 5 }],
  ],
  "write behind the last newline": [
    "rich",
    line,
    [{ retain: 5 }, { insert: "x" }],
  ],
  "an embed behind the last newline": [
    "rich",
    line,
    [{ retain: 5 }, { insert: { image: "x" } }],
  ],
  "delete the first half of a pair": [
    "rich",
    line,
    [{ retain: 1 }, { delete: 1 }],
  ],
  "delete the second half of a pair": [
    "rich",
    line,
    [{ retain: 2 }, { delete: 1 }],
  ],
  "insert inside a pair": ["rich", line, [{ retain: 2 }, { insert: "x" }]],
  "format half a pair": ["rich", line, [{ retain: 2, attributes: bold }]],
  "insert the first half of a pair": ["rich", line, [{ insert: "\ud83d" }]],
  "insert the second half of a pair": ["rich", line, [{ insert: "\ude00" }]],
  "half a pair in an attribute": [
    "rich",
    line,
    [{ insert: "x", attributes: { link: "\ud83d" } }],
  ],
  "half a pair in an embed": [
    "rich",
    line,
    [{ insert: { image: ["\ude00"] } }],
  ],
  "a carriage return": ["rich", line, [{ insert: "x\r\n" }]],
  "a carriage return alone": ["rich", line, [{ insert: "x\ry" }]],
  "a name of Object.prototype": [
    "rich",
    line,
    [{ insert: "x", attributes: { constructor: 1 } }],
  ],
  "a name of Object.prototype inside": [
    "rich",
    line,
    [{ retain: 1, attributes: { link: { valueOf: 1 } } }],
  ],
  "empty attributes": [
    "rich",
    line,
    [{ retain: 1, attributes: {} }, { insert: "x" }],
  ],
  "an insert behind a delete": ["rich", line, [{ delete: 1 }, { insert: "x" }]],
  "neighbours that could be one": [
    "rich",
    line,
    [{ insert: "x" }, { insert: "y" }],
  ],
  "retains that could be one": [
    "rich",
    line,
    [
      { retain: 1, attributes: { ...bold, ...red } },
      { retain: 2, attributes: { ...red, ...bold } },
    ],
  ],
  "deletes that could be one": ["rich", line, [{ delete: 1 }, { delete: 2 }]],
  "an edit inside an embed": ["rich", line, [{ retain: { delta: [] } }]],
  "attributes in plain text": [
    "text",
    [{ insert: "abc" }],
    [{ insert: "x", attributes: bold }],
  ],
  "a format in plain text": [
    "text",
    [{ insert: "abc" }],
    [{ retain: 2, attributes: bold }],
  ],
  "an embed in plain text": [
    "text",
    [{ insert: "abc" }],
    [{ insert: { image: "x" } }],
  ],
  "half a pair of plain text": [
    "text",
    [{ insert: "😀" }],
    [{ retain: 1 }, { delete: 1 }],
  ],
  "past the end of plain text": [
    "text",
    [{ insert: "abc" }],
    [{ retain: 4 }, { insert: "x" }],
  ],
};

/** What stands in a content: inserts without null attributes. */
function plain(delta) {
  return delta.ops.reduce((out, op) => {
    const kept = Object.entries(op.attributes ?? {}).filter(
      ([, v]) => v !== null,
    );
    return out.insert(
      op.insert,
      kept.length ? Object.fromEntries(kept) : undefined,
    );
  }, new Delta());
}

const pairs = [];
for (const [about, { type, doc, edits }] of Object.entries(contents))
  for (const [one, a] of Object.entries(edits))
    for (const [two, b] of Object.entries(edits)) {
      const second = a.transform(b, true);
      pairs.push({
        name: `${about}: ${one} / ${two}`,
        type,
        doc: doc.ops,
        a: a.ops,
        b: b.ops,
        first: second.ops,
        second: a.transform(b, false).ops,
        composed: a.compose(second).ops,
        inverted: a.invert(doc).ops,
        after: plain(doc.compose(a)).ops,
        both: plain(plain(doc.compose(a)).compose(second)).ops,
        positions: Array.from({ length: doc.length() + 1 }, (_, i) => [
          a.transformPosition(i, true),
          a.transformPosition(i, false),
        ]),
      });
    }

const list = (cases) =>
  "[\n" + cases.map((c) => JSON.stringify(c)).join(",\n") + "\n]";
const cases = Object.entries(refused).map(([name, [type, doc, edit]]) => ({
  name,
  type,
  doc,
  edit,
}));
console.log(`{"pairs":${list(pairs)},"refused":${list(cases)}}`);
