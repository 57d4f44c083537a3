// Random cases, and what others make of them, one JSON object a line: npm's quill-delta, rich-text, and
// the client library's own form.ts.
//   node vectors.mjs SEED COUNT
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const frontend = fileURLToPath(new URL("../../frontend/", import.meta.url));
const require = createRequire(join(frontend, "package.json"));
const Delta = require("quill-delta");
const richText = require("rich-text");
const form = await typescript("src/client/form.ts");

/** A module of the client library, built as the pages are. */
async function typescript(path) {
  const vite = join(
    dirname(require.resolve("vite/package.json")),
    "dist/node/index.js",
  );
  const { build } = await import(pathToFileURL(vite));
  const built = await build({
    configFile: false,
    logLevel: "error",
    root: frontend,
    build: {
      write: false,
      target: "node20",
      minify: false,
      lib: { entry: join(frontend, path), formats: ["es"], fileName: "module" },
    },
  });
  return import(
    "data:text/javascript;base64," +
      Buffer.from([built].flat()[0].output[0].code).toString("base64")
  );
}

let state = Number(process.argv[2]) >>> 0;
const count = Number(process.argv[3]);

// mulberry32
function random() {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

const texts = [
  "a",
  "bc",
  "\n",
  "é",
  "日本",
  "😀",
  "👩‍👩‍👧",
  "x\ny",
  "\u0000",
  "\u2028",
  "lorem",
  "🏳️‍🌈z",
  "\ue000",
  "\ufffd",
  "\u{10000}",
  "\u{10ffff}",
];
const names = ["bold", "bold", "color", "link", "ü", "\u{10000}", "\ufb01"];
const values = [
  true,
  false,
  "red",
  2,
  1.5,
  null,
  null,
  { a: 1 },
  { a: 1, b: { c: null } },
  { b: [1, "x"] },
  [],
  ["x", { y: 0 }],
  1e21,
  -1e-7,
  2 ** 62,
  "",
];
const embeds = ["x", { y: 1 }, null, [2]];

function attributes() {
  if (below(2)) return undefined;
  const out = {};
  for (let n = 1 + below(2); n > 0; n--) out[pick(names)] = pick(values);
  return out;
}

function insertInto(delta, type) {
  if (type === "text") delta.insert(pick(texts));
  else if (below(5)) delta.insert(pick(texts), attributes());
  else delta.insert({ [pick(["image", "video"])]: pick(embeds) }, attributes());
}

/** What a content is: inserts without null attributes. */
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

function content(type) {
  const doc = new Delta();
  for (let n = below(6); n > 0; n--) insertInto(doc, type);
  return plain(
    type === "rich"
      ? doc.insert("\n", below(4) ? undefined : attributes())
      : doc,
  );
}

/** Every place where an edit may have a boundary. */
function places(doc) {
  const out = [];
  let at = 0;
  for (const op of doc.ops) {
    for (const point of typeof op.insert === "string" ? op.insert : ["x"]) {
      out.push(at);
      at += point.length;
    }
  }
  return [...out, at];
}

function edit(type, doc) {
  const at = places(doc);
  const end = at.length - (type === "rich" ? 2 : 1);
  const delta = new Delta();
  let i = 0;
  for (let n = below(6); n > 0; n--) {
    const next = i < end ? i + 1 + below(Math.min(4, end - i)) : i;
    const length = at[next] - at[i];
    switch (below(4)) {
      case 0:
        insertInto(delta, type);
        continue;
      case 1:
        delta.delete(length);
        break;
      case 2:
        delta.retain(length);
        break;
      default:
        delta.retain(length, type === "rich" ? attributes() : undefined);
    }
    i = next;
  }
  return delta.chop();
}

/** An edit as an editor may make it: through pairs, past the last newline, with CR, halves and lost names. */
function wild(doc) {
  const delta = new Delta();
  const wildTexts = [...texts, "\r\n", "a\rb", "\ud83d", "\ude00", "\n\n"];
  const wildAttributes = () =>
    below(6)
      ? attributes()
      : { constructor: 1, bold: { toString: 1 }, color: "\ud83d" };
  let left = doc.length();
  for (let n = 1 + below(5); n > 0; n--) {
    const length = Math.min(left, 1 + below(5));
    const kind = below(5);
    if (kind < 2)
      delta.insert(
        below(6) ? pick(wildTexts) : { image: pick(embeds) },
        wildAttributes(),
      );
    else if (length === 0) continue;
    else if (kind === 2) delta.delete(length);
    else delta.retain(length, kind === 3 ? wildAttributes() : undefined);
    if (kind >= 2) left -= length;
  }
  return delta;
}

/** A content in normal form: keys sorted by UTF-16 units, as RFC 8785 has it; numbers are as JSON.stringify writes them. */
function normal(content) {
  return JSON.stringify(
    content.ops.map(({ insert, attributes }) => ({
      insert: sorted(insert),
      attributes: sorted(attributes),
    })),
  );
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => [k, sorted(v)]),
  );
}

for (let n = 0; n < count; n++) {
  const type = n % 4 === 3 ? "text" : "rich";
  const doc = content(type);
  const [a, b] = [edit(type, doc), edit(type, doc)];
  const after = plain(doc.compose(a));
  const c = edit(type, after);
  const other = below(2) ? content(type) : after;
  const index = below(doc.length() + 3);
  const old = {
    a: new richText.Delta(a.ops),
    b: new richText.Delta(b.ops),
    c: new richText.Delta(c.ops),
    doc: new richText.Delta(doc.ops),
  };
  const rough = wild(doc);
  const { delta: formed } = form.inForm(type, doc, rough);
  const line = JSON.stringify({
    type,
    doc: doc.ops,
    a: a.ops,
    b: b.ops,
    c: c.ops,
    index,
    quill: {
      first: a.transform(b, true).ops,
      second: a.transform(b, false).ops,
      composed: a.compose(c).ops,
      inverted: a.invert(doc).ops,
      before: a.transformPosition(index, true),
      behind: a.transformPosition(index, false),
    },
    rich: {
      first: richText.type.transform(old.b, old.a, "left").ops,
      second: richText.type.transform(old.b, old.a, "right").ops,
      composed: richText.type.compose(old.a, old.c).ops,
      inverted: old.a.invert(old.doc).ops,
      before: richText.type.transformCursor(index, old.a, false),
      behind: richText.type.transformCursor(index, old.a, true),
    },
    after: normal(form.apply(doc, a)),
    other: other.ops,
    diff: form.diff(type, doc, other).ops,
    wild: rough.ops,
    formed: formed?.ops ?? null,
    wanted: formed && normal(form.apply(doc, formed)),
  });
  if (!process.stdout.write(line + "\n")) await once(process.stdout, "drain");
}
