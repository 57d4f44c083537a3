// Random cases and what npm's quill-delta makes of them, one JSON object a line:
//   node vectors.mjs SEED COUNT
import { createRequire } from 'node:module';
import { once } from 'node:events';

const require = createRequire(new URL('../../frontend/package.json', import.meta.url));
const { default: Delta } = await import(require.resolve('quill-delta'));
const Quill = Delta.default ?? Delta;

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

const texts = ['a', 'bc', '\n', 'é', '日本', '😀', '👩‍👩‍👧', 'x\ny', '\u0000', '\u2028', 'lorem', '🏳️‍🌈z'];
const values = [true, false, 'red', 2, 1.5, null, null, { a: 1 }, { a: 1, b: { c: null } }, { b: [1, 'x'] }, [], ['x', { y: 0 }]];

function attributes() {
  if (below(2)) return undefined;
  const out = {};
  for (let n = 1 + below(2); n > 0; n--) out[pick(['bold', 'color', 'link', 'ü'])] = pick(values);
  return out;
}

const insertInto = (delta) => (below(5) ? delta.insert(pick(texts), attributes()) : delta.insert({ [pick(['image', 'video'])]: pick(['x', { y: 1 }, null]) }, attributes()));

function content() {
  let doc = new Quill();
  for (let n = below(6); n > 0; n--) doc = new Quill().compose(insertInto(new Quill()).concat(doc));
  // what a content is: inserts without null attributes
  return new Quill(doc.ops.map((op) => op)).ops.reduce((out, op) => {
    const kept = Object.fromEntries(Object.entries(op.attributes ?? {}).filter(([, v]) => v !== null));
    return out.insert(op.insert, Object.keys(kept).length ? kept : undefined);
  }, new Quill());
}

// every place where an edit may have a boundary
function places(doc) {
  const out = [];
  let at = 0;
  for (const op of doc.ops) {
    if (typeof op.insert !== 'string') {
      out.push(at++);
      continue;
    }
    for (const point of op.insert) {
      out.push(at);
      at += point.length;
    }
  }
  out.push(at);
  return out;
}

function edit(doc) {
  const at = places(doc);
  const delta = new Quill();
  let i = 0;
  for (let n = below(6); n > 0; n--) {
    const next = i < at.length - 1 ? i + 1 + below(Math.min(4, at.length - 1 - i)) : i;
    const length = at[next] - at[i];
    switch (below(4)) {
      case 0:
        insertInto(delta);
        continue;
      case 1:
        delta.delete(length);
        break;
      case 2:
        delta.retain(length);
        break;
      default:
        delta.retain(length, attributes());
    }
    i = next;
  }
  return delta.chop();
}

const apply = (doc, delta) => doc.compose(delta);

for (let n = 0; n < count; n++) {
  const doc = content();
  const a = edit(doc);
  const b = edit(doc);
  const after = apply(doc, a).ops.reduce((out, op) => {
    const kept = Object.fromEntries(Object.entries(op.attributes ?? {}).filter(([, v]) => v !== null));
    return out.insert(op.insert, Object.keys(kept).length ? kept : undefined);
  }, new Quill());
  const c = edit(after);
  const index = below(doc.length() + 3);
  const line = JSON.stringify({
    doc: doc.ops,
    a: a.ops,
    b: b.ops,
    c: c.ops,
    first: a.transform(b, true).ops,
    second: a.transform(b, false).ops,
    composed: a.compose(c).ops,
    inverted: a.invert(doc).ops,
    after: after.ops,
    index,
    before: a.transformPosition(index, true),
    behind: a.transformPosition(index, false),
  });
  if (!process.stdout.write(line + '\n')) await once(process.stdout, 'drain');
}
