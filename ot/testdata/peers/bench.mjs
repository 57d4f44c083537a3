// What package ot is measured against, from npm, in the format of `go test -bench`:
//   node bench.mjs [TRACE.json.gz ...]
// A document is built anew for each recording and checked against the recording's end.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';

const require = createRequire(import.meta.url);
const { Doc } = require('diamond-types-node');
const { LoroDoc } = require('loro-crdt');
const { type: unicode } = require('ot-text-unicode');
const { default: Delta } = require('quill-delta');
const { type: richText } = require('rich-text');
const Y = require('yjs');

const peers = {
  'diamond-types-node': {
    edits: (trace) => trace.points,
    play(edits) {
      const doc = new Doc('author');
      for (const [at, deleted, inserted] of edits) {
        if (deleted > 0) doc.del(at, deleted);
        if (inserted !== '') doc.ins(at, inserted);
      }
      return () => {
        const text = doc.get();
        doc.free();
        return text;
      };
    },
  },
  'loro-crdt': {
    edits: (trace) => trace.units,
    play(edits) {
      const doc = new LoroDoc();
      const text = doc.getText('text');
      for (const [at, deleted, inserted] of edits) {
        if (deleted > 0) text.delete(at, deleted);
        if (inserted !== '') text.insert(at, inserted);
      }
      doc.commit();
      return () => text.toString();
    },
  },
  yjs: {
    edits: (trace) => trace.units,
    play(edits) {
      const doc = new Y.Doc();
      const text = doc.getText('text');
      for (const [at, deleted, inserted] of edits) {
        if (deleted > 0) text.delete(at, deleted);
        if (inserted !== '') text.insert(at, inserted);
      }
      return () => text.toString();
    },
  },
  'rich-text': {
    edits: (trace) => trace.units.map(delta),
    play(edits) {
      let content = richText.create([]);
      for (const edit of edits) content = richText.apply(content, edit);
      return () => content.ops.map((op) => op.insert).join('');
    },
  },
};

// delta is an edit as quill-delta has it; a retain of nothing is left out.
function delta([at, deleted, inserted]) {
  return new Delta().retain(at).insert(inserted).delete(deleted);
}

// recording reads a history, with positions in code points as it has them, and in UTF-16 units.
function recording(file) {
  const { endContent, txns } = JSON.parse(gunzipSync(readFileSync(file)));
  const points = txns.flatMap((txn) => txn.patches);
  let content = [];
  let wide = 0; // characters of two units in the content
  const units = points.map(([at, deleted, inserted]) => {
    const pairs = (chars) => chars.filter((c) => c.length > 1).length;
    const before = wide > 0 ? pairs(content.slice(0, at)) : 0;
    const put = Array.from(inserted);
    const gone = content.splice(at, deleted, ...put);
    const within = wide > 0 ? pairs(gone) : 0;
    wide += pairs(put) - within;
    return [at + before, deleted + within, inserted];
  });
  return { name: basename(file, '.json.gz'), endContent, points, units };
}

function milliseconds(f) {
  const start = performance.now();
  f();
  return performance.now() - start;
}

// report prints the time that f takes for one of the n things that it does.
function report(name, n, f) {
  const warm = performance.now();
  while (performance.now() - warm < 200) f(); // until the compiler is done with it
  let times = 1;
  let took = milliseconds(f);
  for (; took < 200; took = milliseconds(() => { for (let i = 0; i < times; i++) f(); })) times *= 2;
  console.log(`Benchmark${name} ${times * n} ${((took * 1e6) / times / n).toFixed(2)} ns/op`);
}

for (const file of process.argv.slice(2)) {
  const trace = recording(file);
  for (const [name, peer] of Object.entries(peers)) {
    const edits = peer.edits(trace);
    let end;
    const took = milliseconds(() => (end = peer.play(edits)));
    if (end() !== trace.endContent) throw new Error(`${name} ends ${trace.name} elsewhere`);
    console.log(`BenchmarkTrace/trace=${trace.name}/of=${name} 1 ${(took * 1e6).toFixed(0)} ns/op`);
  }
}

// A document of 10,000 runs, every other one bold, and one character typed into its middle.
let runs = new Delta();
for (let i = 0; i < 10_000; i++) runs.insert('word ', i % 2 ? { bold: true } : undefined);
runs.insert('\n');
const typed = new Delta().retain(25_002).insert('x');
report('Runs/of=rich-text', 1, () => richText.apply(runs, typed));

// Pairs of typing operations, the same ones as in bench_test.go: a character typed or, one time in five, deleted, by
// two authors at random places; and the next key of the first author, one time in seven backspace. Results are kept for a
// while, as a server keeps them.
const N = 1024;
const kept = new Array(N);
const operation = (k, i) => ({ at: 1 + ((i * 7919 + k * 4271) % 10_000), deletes: (i + k) % 5 === 0 });
function next(i) {
  const { at, deletes } = operation(0, i);
  const caret = deletes ? at : at + 1;
  return i % 7 === 0 ? { at: caret - 1, deletes: true } : { at: caret, deletes: false };
}
const asDelta = ({ at, deletes }) => (deletes ? new Delta().retain(at).delete(1) : new Delta().retain(at).insert('x'));
const asUnicode = ({ at, deletes }) => [...(at > 0 ? [at] : []), deletes ? { d: 1 } : 'x'];
function pairs(name, make, transform, compose) {
  const first = Array.from({ length: N }, (_, i) => make(operation(0, i)));
  const second = Array.from({ length: N }, (_, i) => make(operation(1, i)));
  const then = Array.from({ length: N }, (_, i) => make(next(i)));
  report(`Transform/of=${name}`, N, () => {
    for (let i = 0; i < N; i++) kept[i] = transform(first[i], second[i]);
  });
  report(`Compose/pairs=apart/of=${name}`, N, () => {
    for (let i = 0; i < N; i++) kept[i] = compose(first[i], second[i]);
  });
  report(`Compose/pairs=next/of=${name}`, N, () => {
    for (let i = 0; i < N; i++) kept[i] = compose(first[i], then[i]);
  });
}
pairs('quill-delta', asDelta, (a, b) => a.transform(b, true), (a, b) => a.compose(b));
pairs('ot-text-unicode', asUnicode, (a, b) => unicode.transform(b, a, 'right'), (a, b) => unicode.compose(a, b));
